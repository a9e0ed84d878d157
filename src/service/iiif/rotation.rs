//! The rotation: mirrored or not, and in quarters (section 4.3).

use super::error::IiifError;
use super::number::Decimal;
use crate::imaging::Turn;

const QUARTER: u64 = 90;

/// Reads `90`, `!180`, `270.0`, `360`.
pub(super) fn parse(text: &str) -> Result<Turn, IiifError> {
    let (mirrored, degrees) = text.strip_prefix('!').map_or((false, text), |degrees| (true, degrees));
    let degrees = Decimal::parse(degrees).and_then(Decimal::to_whole);
    match degrees {
        Some(degrees @ 0..=360) if degrees % QUARTER == 0 => Ok(Turn { mirrored, quarters: (degrees / QUARTER % 4) as u8 }),
        _ => Err(IiifError::BadValue {
            parameter: "rotation",
            value: text.to_owned(),
            expected: "0, 90, 180 or 270, or one of them after !",
        }),
    }
}

/// In one spelling.
pub(super) fn spelt(turn: Turn) -> String {
    format!("{}{}", if turn.mirrored { "!" } else { "" }, u64::from(turn.quarters) * QUARTER)
}
