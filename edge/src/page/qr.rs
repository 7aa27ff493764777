//! A link as a QR code, to be shown on another screen or printed.

use qrcodegen::{QrCode, QrCodeEcc};

/// Light modules around the code that readers need (ISO/IEC 18004 section 6.3.8).
const QUIET: usize = 4;

/// Side of a module in the PNG, in pixels: a link of usual length comes to some 400 pixels.
const MODULE: usize = 8;

/// The code of a text, with its quiet zone; `None` for one that is too long for any.
fn modules(text: &str) -> Option<Vec<Vec<bool>>> {
    // Medium: 15 % may be covered or dirty.
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let quiet = i32::try_from(QUIET).unwrap_or(0);
    let side = code.size() + 2 * quiet;
    let row = |y| {
        (0..side)
            .map(|x| code.get_module(x - quiet, y - quiet))
            .collect()
    };
    Some((0..side).map(row).collect())
}

/// As SVG: black on white whatever the page around it, and a path of one unit a module.
#[must_use]
pub fn svg(text: &str) -> Option<String> {
    let modules = modules(text)?;
    let side = modules.len();
    let mut path = String::new();
    for (y, row) in modules.iter().enumerate() {
        let mut x = 0;
        while x < side {
            let run = row[x..].iter().take_while(|dark| **dark).count();
            if run > 0 {
                path.push_str(&format!("M{x} {y}h{run}v1h-{run}z"));
            }
            x += run.max(1);
        }
    }
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" \
         shape-rendering=\"crispEdges\"><path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/>\
         <path d=\"{path}\"/></svg>"
    ))
}

/// As PNG, one bit a pixel.
#[must_use]
pub fn png(text: &str) -> Option<Vec<u8>> {
    let modules = modules(text)?;
    let side = modules.len() * MODULE;
    let mut data = Vec::new();
    for row in &modules {
        let mut line = vec![0_u8; side.div_ceil(8)];
        for x in 0..side {
            // In grey of one bit, 1 is white.
            if !row[x / MODULE] {
                line[x / 8] |= 0x80 >> (x % 8);
            }
        }
        for _ in 0..MODULE {
            data.extend_from_slice(&line);
        }
    }
    let mut out = Vec::new();
    let side = u32::try_from(side).ok()?;
    let mut encoder = png::Encoder::new(&mut out, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(&data).ok()?;
    writer.finish().ok()?;
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "https://files.example.com/u/AQEJCQkJCQkJCQkJCQkEYWNtZQ9jbGFpbS1kb2N1bWVudHOh6aLYBt729Txyp5z7_un5lU8jE4E";

    /// What a reader sees in the PNG.
    fn read(png: &[u8]) -> String {
        let decoder = png::Decoder::new(std::io::Cursor::new(png));
        let mut reader = decoder.read_info().expect("a PNG");
        let mut data = vec![0; reader.output_buffer_size().expect("a size")];
        let info = reader.next_frame(&mut data).expect("an image");
        let side = info.width as usize;
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(side, side, |x, y| {
            let byte = data[y * info.line_size + x / 8];
            if byte & (0x80 >> (x % 8)) == 0 {
                0
            } else {
                255
            }
        });
        let grids = image.detect_grids();
        grids[0].decode().expect("a code").1
    }

    #[test]
    fn a_reader_reads_the_link_from_the_png() {
        let png = png(LINK).expect("a code");
        assert_eq!(read(&png), LINK);
        assert!(png.len() < 4_000, "{} bytes", png.len());
    }

    #[test]
    fn the_svg_has_the_same_modules() {
        let svg = svg(LINK).expect("a code");
        let dark: usize = svg
            .split('h')
            .skip(1)
            .filter_map(|run| run.split_once("v1")?.0.parse::<usize>().ok())
            .sum();
        let expected: usize = modules(LINK)
            .expect("a code")
            .iter()
            .flatten()
            .filter(|dark| **dark)
            .count();
        assert_eq!(dark, expected);
    }

    #[test]
    fn a_text_beyond_any_code_has_none() {
        assert!(svg(&"x".repeat(4_000)).is_none());
        assert!(png(&"x".repeat(4_000)).is_none());
    }
}
