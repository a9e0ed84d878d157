//! What a JPEG says of itself before its first scan (ITU-T T.81, annex B): enough to know what recompressing it would take.

/// The frame of a JPEG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) components: u8,
    /// All of it stands in one scan, so that it can be decoded row by row.
    pub(super) is_single_scan: bool,
}

/// The frame of a baseline, extended or progressive JPEG by Huffman coding; `None` for whatever else.
pub(super) fn look(bytes: &[u8]) -> Option<Frame> {
    let mut rest = bytes.strip_prefix(&[0xff, 0xd8])?;
    let mut frame = None;
    loop {
        rest = rest.strip_prefix(&[0xff])?;
        // Any number of these may stand before a marker.
        while let Some(shorter) = rest.strip_prefix(&[0xff]) {
            rest = shorter;
        }
        let (marker, after) = rest.split_first()?;
        let length = usize::from(u16::from_be_bytes(*after.first_chunk()?));
        let segment = after.get(2..length)?;
        rest = after.get(length..)?;
        match marker {
            0xc0..=0xc2 => frame = Some((*marker, read_frame(segment)?)),
            // Tables of Huffman codes, and of arithmetic ones.
            0xc4 | 0xcc => {}
            // Lossless, hierarchical, arithmetic.
            0xc3..=0xcf => return None,
            0xda => {
                let (kind, frame) = frame?;
                let in_scan = segment.first()?;
                return Some(Frame { is_single_scan: kind != 0xc2 && *in_scan == frame.components, ..frame });
            }
            0xdb..=0xdf | 0xe0..=0xef | 0xfe => {}
            _ => return None,
        }
    }
}

fn read_frame(segment: &[u8]) -> Option<Frame> {
    let [8, height @ .., components] = *segment.first_chunk::<6>()? else { return None };
    let [a, b, c, d] = height;
    let (height, width) = (u16::from_be_bytes([a, b]).into(), u16::from_be_bytes([c, d]).into());
    (width > 0 && height > 0).then_some(Frame { width, height, components, is_single_scan: false })
}

/// How often the marker of a scan stands in these bytes: at least as often as there are scans.
pub(super) fn count_scans(bytes: &[u8]) -> usize {
    bytes.windows(2).filter(|pair| *pair == [0xff, 0xda]).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jpeg(frame_marker: u8, in_scan: u8) -> Vec<u8> {
        let mut bytes = vec![0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xff, 0xff, frame_marker, 0, 8, 8, 0x01, 0x02, 0x03, 0x04, 3];
        bytes.extend_from_slice(&[0xff, 0xda, 0, 3, in_scan, 1, 2, 3]);
        bytes
    }

    #[test]
    fn a_frame_is_read() {
        let frame = Frame { width: 0x304, height: 0x102, components: 3, is_single_scan: true };
        assert_eq!(look(&jpeg(0xc0, 3)), Some(frame));
        assert_eq!(look(&jpeg(0xc0, 1)), Some(Frame { is_single_scan: false, ..frame }));
        assert_eq!(look(&jpeg(0xc2, 3)), Some(Frame { is_single_scan: false, ..frame }));
        assert_eq!([look(&jpeg(0xc9, 3)), look(&jpeg(0xc3, 3)), look(&jpeg(0xe0, 3))], [None; 3]);
        let whole = jpeg(0xc0, 3);
        for length in 0..whole.len() - 3 {
            assert_eq!(look(&whole[..length]), None, "{length}");
        }
        assert_eq!(count_scans(&whole), 1);
    }
}
