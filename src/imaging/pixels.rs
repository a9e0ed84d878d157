//! Decoded pixels, eight bits a sample.

use std::borrow::Cow;

/// What the samples of a pixel are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Lightness.
    Grey,
    /// Lightness and opacity.
    GreyAlpha,
    /// Red, green, blue.
    Rgb,
    /// Red, green, blue and opacity; not premultiplied.
    Rgba,
    /// Cyan, magenta, yellow, black, each as the light that is left: 255 is no ink, as Adobe writes it and every JPEG of the kind is read.
    InvertedCmyk,
}

impl Layout {
    pub(super) fn channels(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::GreyAlpha => 2,
            Self::Rgb => 3,
            Self::Rgba | Self::InvertedCmyk => 4,
        }
    }

    pub(super) fn has_alpha(self) -> bool {
        matches!(self, Self::GreyAlpha | Self::Rgba)
    }
}

/// A picture in memory: rows from the top, without padding. `data` holds exactly width × height pixels, and there is at least one.
#[derive(Clone, Debug)]
pub(super) struct Pixels {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) layout: Layout,
    pub(super) data: Vec<u8>,
}

impl Pixels {
    /// Lays a transparent picture on a ground. What has no opacity stays as it is.
    pub(super) fn flattened(self, background: [u8; 3]) -> Self {
        let over = |ground: u8, sample: u8, alpha: u8| {
            let (ground, sample, alpha) = (u32::from(ground), u32::from(sample), u32::from(alpha));
            ((sample * alpha + ground * (255 - alpha) + 127) / 255) as u8
        };
        let [r, g, b] = background;
        let (layout, data) = match self.layout {
            Layout::Rgba => {
                let (pixels, _) = self.data.as_chunks::<4>();
                (Layout::Rgb, pixels.iter().flat_map(|p| [over(r, p[0], p[3]), over(g, p[1], p[3]), over(b, p[2], p[3])]).collect())
            }
            Layout::GreyAlpha if r == g && g == b => {
                let (pixels, _) = self.data.as_chunks::<2>();
                (Layout::Grey, pixels.iter().map(|p| over(r, p[0], p[1])).collect())
            }
            Layout::GreyAlpha => {
                let (pixels, _) = self.data.as_chunks::<2>();
                (Layout::Rgb, pixels.iter().flat_map(|p| [over(r, p[0], p[1]), over(g, p[0], p[1]), over(b, p[0], p[1])]).collect())
            }
            Layout::Grey | Layout::Rgb | Layout::InvertedCmyk => return self,
        };
        Self { layout, data, ..self }
    }

    /// Colours as much weaker as they are transparent. [`Pixels::unmultiplied`] is the inverse, as far as there is anything to see.
    pub(super) fn premultiplied(mut self) -> Self {
        self.with_alpha(|sample, alpha| (u32::from(sample) * u32::from(alpha) + 127) / 255);
        self
    }

    /// Colours as they are, from [`Pixels::premultiplied`].
    pub(super) fn unmultiplied(mut self) -> Self {
        self.with_alpha(|sample, alpha| match u32::from(alpha) {
            0 => 0,
            alpha => (u32::from(sample) * 255 + alpha / 2) / alpha,
        });
        self
    }

    fn with_alpha(&mut self, change: impl Fn(u8, u8) -> u32) {
        let channels = self.layout.channels();
        if !self.layout.has_alpha() {
            return;
        }
        for pixel in self.data.chunks_exact_mut(channels) {
            if let [colours @ .., alpha] = pixel {
                colours.iter_mut().for_each(|sample| *sample = change(*sample, *alpha).min(255) as u8);
            }
        }
    }

    /// Grey spread over three colours, for encoders that know no grey; colour stays as it is.
    pub(super) fn coloured(&self) -> Cow<'_, Self> {
        let (layout, data) = match self.layout {
            Layout::Grey => (Layout::Rgb, self.data.iter().flat_map(|l| [*l; 3]).collect()),
            Layout::GreyAlpha => {
                let (pixels, _) = self.data.as_chunks::<2>();
                (Layout::Rgba, pixels.iter().flat_map(|[l, a]| [*l, *l, *l, *a]).collect())
            }
            Layout::Rgb | Layout::Rgba | Layout::InvertedCmyk => return Cow::Borrowed(self),
        };
        Cow::Owned(Self { layout, data, ..*self })
    }

    /// With opacity in every pixel.
    pub(super) fn into_rgba(self) -> Self {
        let coloured = self.coloured().into_owned();
        if coloured.layout != Layout::Rgb {
            return coloured;
        }
        let (pixels, _) = coloured.data.as_chunks::<3>();
        let data = pixels.iter().flat_map(|[r, g, b]| [*r, *g, *b, 255]).collect();
        Self { layout: Layout::Rgba, data, ..coloured }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(layout: Layout, data: &[u8]) -> Pixels {
        Pixels { width: 1, height: 1, layout, data: data.to_vec() }
    }

    #[test]
    fn alpha_is_laid_on_the_ground() {
        let white = [255; 3];
        assert_eq!(one(Layout::Rgba, &[10, 20, 30, 255]).flattened(white).data, [10, 20, 30]);
        assert_eq!(one(Layout::Rgba, &[10, 20, 30, 0]).flattened(white).data, [255, 255, 255]);
        assert_eq!(one(Layout::Rgba, &[0, 0, 0, 128]).flattened(white).data, [127, 127, 127]);
        assert_eq!(one(Layout::GreyAlpha, &[0, 0]).flattened([7, 7, 7]).data, [7]);
        assert_eq!(one(Layout::GreyAlpha, &[9, 0]).flattened([1, 2, 3]).data, [1, 2, 3]);
        assert_eq!(one(Layout::Grey, &[9]).flattened(white).data, [9]);
    }

    #[test]
    fn multiplying_is_taken_back() {
        let pixels = one(Layout::Rgba, &[200, 100, 0, 128]);
        assert_eq!(pixels.clone().premultiplied().data, [100, 50, 0, 128]);
        assert_eq!(pixels.premultiplied().unmultiplied().data, [199, 100, 0, 128]);
        assert_eq!(one(Layout::GreyAlpha, &[9, 0]).premultiplied().unmultiplied().data, [0, 0]);
        assert_eq!(one(Layout::Rgb, &[1, 2, 3]).premultiplied().data, [1, 2, 3]);
    }

    #[test]
    fn grey_becomes_colour() {
        assert_eq!(one(Layout::Grey, &[9]).into_rgba().data, [9, 9, 9, 255]);
        assert_eq!(one(Layout::GreyAlpha, &[9, 4]).coloured().data, [9, 9, 9, 4]);
    }
}
