use image::ColorType;

/// A decoder's output as RGB bytes, as PIL's `convert("RGB")` makes them: alpha is dropped (not
/// composited), grey is copied to the three channels, of 16 bits the high byte is kept.
///
/// One deviation, on purpose: Pillow clips 16-bit *grey* at 255, so that almost every such picture
/// becomes white. Here it keeps the high byte, as Pillow itself does for 16-bit RGB and grey with
/// alpha, and as every viewer shows it: a safeguard must judge what people see.
///
/// `data`: rows without padding, 16-bit samples in native byte order. `None` for a colour type
/// that none of the decoders here gives.
pub(crate) fn to_rgb8(data: Vec<u8>, color: ColorType) -> Option<Vec<u8>> {
    let rgb = match color {
        ColorType::Rgb8 => data,
        ColorType::Rgba8 => keep_three_of_four(data),
        ColorType::L8 => data.iter().flat_map(|&l| [l; 3]).collect(),
        ColorType::La8 => data
            .as_chunks::<2>()
            .0
            .iter()
            .flat_map(|&[l, _]| [l; 3])
            .collect(),
        ColorType::L16 => data
            .as_chunks::<2>()
            .0
            .iter()
            .flat_map(|&l| [high(l); 3])
            .collect(),
        ColorType::La16 => data
            .as_chunks::<4>()
            .0
            .iter()
            .flat_map(|&[a, b, ..]| [high([a, b]); 3])
            .collect(),
        ColorType::Rgb16 => data
            .as_chunks::<2>()
            .0
            .iter()
            .map(|&sample| high(sample))
            .collect(),
        ColorType::Rgba16 => data
            .as_chunks::<8>()
            .0
            .iter()
            .flat_map(|&[r0, r1, g0, g1, b0, b1, ..]| {
                [high([r0, r1]), high([g0, g1]), high([b0, b1])]
            })
            .collect(),
        _ => return None,
    };
    Some(rgb)
}

fn high(sample: [u8; 2]) -> u8 {
    (u16::from_ne_bytes(sample) >> 8) as u8
}

/// In place: for large pictures a second buffer is what the memory limit is about.
fn keep_three_of_four(mut data: Vec<u8>) -> Vec<u8> {
    let pixels = data.len() / 4;
    for pixel in 0..pixels {
        data.copy_within(4 * pixel..4 * pixel + 3, 3 * pixel);
    }
    data.truncate(3 * pixels);
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_colour_type_gives_rgb() {
        let wide = |samples: &[u16]| samples.iter().flat_map(|s| s.to_ne_bytes()).collect();
        let cases: [(ColorType, Vec<u8>, [u8; 6]); 8] = [
            (ColorType::L8, vec![7, 9], [7, 7, 7, 9, 9, 9]),
            (ColorType::La8, vec![7, 0, 9, 255], [7, 7, 7, 9, 9, 9]),
            (ColorType::Rgb8, vec![1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]),
            (
                ColorType::Rgba8,
                vec![1, 2, 3, 0, 4, 5, 6, 9],
                [1, 2, 3, 4, 5, 6],
            ),
            (ColorType::L16, wide(&[0x07ff, 0x0900]), [7, 7, 7, 9, 9, 9]),
            (
                ColorType::La16,
                wide(&[0x07ff, 0, 0x0900, 1]),
                [7, 7, 7, 9, 9, 9],
            ),
            (
                ColorType::Rgb16,
                wide(&[0x1ff, 0x2ff, 0x3ff, 0x400, 0x500, 0x600]),
                [1, 2, 3, 4, 5, 6],
            ),
            (
                ColorType::Rgba16,
                wide(&[0x1ff, 0x2ff, 0x3ff, 0, 0x400, 0x500, 0x600, 0xffff]),
                [1, 2, 3, 4, 5, 6],
            ),
        ];
        for (color, data, rgb) in cases {
            assert_eq!(to_rgb8(data, color).unwrap(), rgb, "{color:?}");
        }
        assert!(to_rgb8(vec![0; 24], ColorType::Rgb32F).is_none());
    }
}
