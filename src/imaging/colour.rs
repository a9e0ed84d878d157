//! Colours as they are meant: from the file's profile to sRGB, and from ink to light.

use moxcms::{ColorProfile, DataColorSpace, Layout as IccLayout, ParsingOptions, TransformOptions};

use super::pixels::{Layout, Pixels};
use super::shield::shielded_option;

/// To sRGB, grey or coloured. A profile that cannot be read, or that is for another kind of pixel, counts as none: then the numbers are
/// taken for sRGB, as browsers do.
pub(super) fn to_srgb(pixels: Pixels, icc: Option<&[u8]>) -> Pixels {
    let converted = icc.and_then(|icc| shielded_option(|| by_profile(&pixels, icc)));
    match converted {
        Some(converted) => converted,
        None if pixels.layout == Layout::InvertedCmyk => light_of_ink(pixels),
        None => pixels,
    }
}

/// Whether pixels of this layout with this profile are other colours than their numbers are in sRGB.
pub(super) fn is_other_than_srgb(icc: &[u8], layout: Layout) -> bool {
    let parsed = shielded_option(|| parsed(icc));
    parsed.is_some_and(|profile| match layout {
        Layout::Rgb | Layout::Rgba => profile.color_space == DataColorSpace::Rgb && !is_srgb(&profile),
        Layout::Grey | Layout::GreyAlpha => profile.color_space == DataColorSpace::Gray,
        Layout::InvertedCmyk => true,
    })
}

/// Primaries that files name by number, without a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Primaries {
    /// Of Apple's displays and telephones.
    DisplayP3,
    /// Of wide television.
    Bt2020,
}

/// A profile with these primaries and sRGB's curve.
pub(super) fn profile_of(primaries: Primaries) -> Option<Vec<u8>> {
    let mut profile = ColorProfile::new_display_p3();
    if primaries == Primaries::Bt2020 {
        let curves = (profile.red_trc.clone(), profile.green_trc.clone(), profile.blue_trc.clone());
        profile = ColorProfile::new_bt2020();
        (profile.red_trc, profile.green_trc, profile.blue_trc) = curves;
    }
    profile.encode().ok()
}

fn parsed(icc: &[u8]) -> Option<ColorProfile> {
    let options = ParsingOptions { max_profile_size: icc.len() + 1, ..ParsingOptions::default() };
    ColorProfile::new_from_slice_with_options(icc, options).ok()
}

fn by_profile(pixels: &Pixels, icc: &[u8]) -> Option<Pixels> {
    let profile = parsed(icc)?;
    let (from, to, layout) = match (pixels.layout, profile.color_space) {
        (Layout::Grey, DataColorSpace::Gray) => (IccLayout::Gray, IccLayout::Rgb, Layout::Rgb),
        (Layout::GreyAlpha, DataColorSpace::Gray) => (IccLayout::GrayAlpha, IccLayout::Rgba, Layout::Rgba),
        (Layout::Rgb, DataColorSpace::Rgb) => (IccLayout::Rgb, IccLayout::Rgb, Layout::Rgb),
        (Layout::Rgba, DataColorSpace::Rgb) => (IccLayout::Rgba, IccLayout::Rgba, Layout::Rgba),
        // moxcms takes the four inks in the layout of RGBA.
        (Layout::InvertedCmyk, DataColorSpace::Cmyk) => (IccLayout::Rgba, IccLayout::Rgb, Layout::Rgb),
        _ => return None,
    };
    if profile.color_space == DataColorSpace::Rgb && is_srgb(&profile) {
        return None;
    }
    let transform = profile.create_transform_8bit(from, &ColorProfile::new_srgb(), to, TransformOptions::default()).ok()?;
    let ink: Vec<u8>;
    let source = if pixels.layout == Layout::InvertedCmyk {
        ink = pixels.data.iter().map(|left| 255 - left).collect();
        &ink
    } else {
        &pixels.data
    };
    let mut data = vec![0; pixels.data.len() / pixels.layout.channels() * layout.channels()];
    transform.transform(source, &mut data).ok()?;
    Some(Pixels { width: pixels.width, height: pixels.height, layout, data })
}

/// Whether converting would change nothing worth the time: most cameras embed sRGB itself.
fn is_srgb(profile: &ColorProfile) -> bool {
    let srgb = ColorProfile::new_srgb();
    let near = |a: moxcms::Xyzd, b: moxcms::Xyzd| (a.x - b.x).abs() < 2e-3 && (a.y - b.y).abs() < 2e-3 && (a.z - b.z).abs() < 2e-3;
    profile.lut_a_to_b_perceptual.is_none()
        && profile.lut_a_to_b_colorimetric.is_none()
        && near(profile.red_colorant, srgb.red_colorant)
        && near(profile.green_colorant, srgb.green_colorant)
        && near(profile.blue_colorant, srgb.blue_colorant)
        && [&profile.red_trc, &profile.green_trc, &profile.blue_trc].into_iter().all(|curve| curve.as_ref().is_some_and(is_srgb_curve))
}

fn is_srgb_curve(curve: &moxcms::ToneReprCurve) -> bool {
    let srgb = |v: f64| if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) };
    let near = |at: f64, value: f64| (srgb(at) - value).abs() < 4e-3;
    match curve {
        moxcms::ToneReprCurve::Lut(table) if table.len() >= 16 => {
            let last = (table.len() - 1) as f64;
            table.iter().enumerate().all(|(at, value)| near(at as f64 / last, f64::from(*value) / 65_535.0))
        }
        moxcms::ToneReprCurve::Parametric(p) if p.len() >= 5 => {
            (p[0] - 2.4).abs() < 1e-2 && (p[1] - 0.947_87).abs() < 1e-3 && (p[3] - 0.077_4).abs() < 1e-3 && (p[4] - 0.040_45).abs() < 1e-3
        }
        _ => false,
    }
}

/// Without a profile: each colour is the light that its ink and the black leave.
fn light_of_ink(pixels: Pixels) -> Pixels {
    let (inks, _) = pixels.data.as_chunks::<4>();
    let left = |colour: u8, black: u8| ((u32::from(colour) * u32::from(black) + 127) / 255) as u8;
    let data = inks.iter().flat_map(|[c, m, y, k]| [left(*c, *k), left(*m, *k), left(*y, *k)]).collect();
    Pixels { layout: Layout::Rgb, data, ..pixels }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixel(layout: Layout, data: &[u8]) -> Pixels {
        Pixels { width: 1, height: 1, layout, data: data.to_vec() }
    }

    #[test]
    fn ink_leaves_light() {
        let rgb = |cmyk: [u8; 4]| to_srgb(pixel(Layout::InvertedCmyk, &cmyk), None).data;
        assert_eq!(rgb([255, 255, 255, 255]), [255, 255, 255], "no ink is white");
        assert_eq!(rgb([255, 255, 255, 0]), [0, 0, 0], "full black");
        assert_eq!(rgb([0, 255, 255, 255]), [0, 255, 255], "cyan");
        assert_eq!(rgb([128, 255, 0, 255]), [128, 255, 0]);
    }

    #[test]
    fn srgb_itself_changes_nothing() {
        let profile = ColorProfile::new_srgb().encode().unwrap();
        assert!(is_srgb(&ColorProfile::new_from_slice(&profile).unwrap()));
        assert_eq!(to_srgb(pixel(Layout::Rgb, &[10, 20, 30]), Some(&profile)).data, [10, 20, 30]);
    }

    #[test]
    fn another_profile_is_honoured() {
        let wide = ColorProfile::new_display_p3().encode().unwrap();
        assert!(!is_srgb(&ColorProfile::new_from_slice(&wide).unwrap()));
        let converted = to_srgb(pixel(Layout::Rgb, &[200, 100, 50]), Some(&wide));
        assert!(converted.data[0] > 205 && converted.data[1] < 100, "P3 is wider: {:?}", converted.data);
        let alpha = to_srgb(pixel(Layout::Rgba, &[200, 100, 50, 77]), Some(&wide));
        assert_eq!(alpha.data[3], 77);
    }

    #[test]
    fn what_changes_nothing_is_known_before() {
        let [srgb, wide] = [ColorProfile::new_srgb(), ColorProfile::new_display_p3()].map(|profile| profile.encode().unwrap());
        assert!(!is_other_than_srgb(&srgb, Layout::Rgb) && is_other_than_srgb(&wide, Layout::Rgb));
        assert!(!is_other_than_srgb(&wide, Layout::Grey) && !is_other_than_srgb(b"nonsense", Layout::Rgb));
        for primaries in [Primaries::DisplayP3, Primaries::Bt2020] {
            let profile = profile_of(primaries).unwrap();
            assert!(is_other_than_srgb(&profile, Layout::Rgb), "{primaries:?}");
            assert!(to_srgb(pixel(Layout::Rgb, &[200, 100, 50]), Some(&profile)).data[0] > 205, "{primaries:?}");
        }
    }

    #[test]
    fn nonsense_counts_as_none() {
        assert_eq!(to_srgb(pixel(Layout::Rgb, &[1, 2, 3]), Some(b"nonsense")).data, [1, 2, 3]);
        let rgb_profile = ColorProfile::new_display_p3().encode().unwrap();
        assert_eq!(to_srgb(pixel(Layout::Grey, &[9]), Some(&rgb_profile)).data, [9]);
    }
}
