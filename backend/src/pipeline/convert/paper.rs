//! Images as the pages of a PDF, and as what paper shows of them.

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, RgbImage};
use pdf_writer::{Content, Finish as _, Name, Pdf, Rect, Ref};

use super::{ConvertError, reject};
use crate::rejection::Rejection;

/// JPEG quality, of 100: no visible loss, a fifth of the size of 100.
pub(super) const JPEG_QUALITY: u8 = 90;

/// The image as a JPEG can hold it: 8 bits, no transparency.
pub(super) fn on_white(image: &DynamicImage) -> DynamicImage {
    if !image.color().has_alpha() {
        return if image.color().has_color() {
            image.to_rgb8().into()
        } else {
            image.to_luma8().into()
        };
    }
    let rgba = image.to_rgba8();
    let mut flat = RgbImage::new(rgba.width(), rgba.height());
    for (to, from) in flat.pixels_mut().zip(rgba.pixels()) {
        let [r, g, b, a] = from.0;
        to.0 = [r, g, b].map(|c| over_white(c, a));
    }
    flat.into()
}

/// One channel of a pixel laid over white, rounded to the nearest.
fn over_white(channel: u8, alpha: u8) -> u8 {
    let (c, a) = (u32::from(channel), u32::from(alpha));
    let mixed = (c * a + 255 * (255 - a) + 127) / 255;
    u8::try_from(mixed).unwrap_or(u8::MAX)
}

/// An image as a page of a PDF: a JPEG and its size.
pub(crate) struct Page {
    jpeg: Vec<u8>,
    width: u32,
    height: u32,
    grey: bool,
}

impl Page {
    /// Its size in bytes.
    pub(crate) fn len(&self) -> usize {
        self.jpeg.len()
    }
}

/// Makes a page of an image.
pub(crate) fn page(image: &DynamicImage) -> Result<Page, ConvertError> {
    let flat = on_white(image);
    let mut jpeg = Vec::new();
    flat.write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY))
        .map_err(|error| reject(Rejection::ImageTooLarge, error.to_string()))?;
    Ok(Page {
        jpeg,
        width: flat.width(),
        height: flat.height(),
        grey: !flat.color().has_color(),
    })
}

/// A PDF with these pages, each as large as its image and A4's longer side at most.
pub(crate) fn document(pages: &[Page]) -> Vec<u8> {
    /// A4's longer side, in points.
    const LONGEST: f32 = 842.0;
    let mut next = 1;
    let mut new = || {
        let id = Ref::new(next);
        next += 1;
        id
    };
    let mut pdf = Pdf::new();
    let (catalog, tree) = (new(), new());
    pdf.catalog(catalog).pages(tree);
    let mut kids = Vec::new();
    for page in pages {
        let (id, image, content) = (new(), new(), new());
        kids.push(id);
        let (width, height) = (side(page.width), side(page.height));
        let scale = (LONGEST / width.max(height)).min(1.0);
        let (width, height) = (width * scale, height * scale);
        let mut entry = pdf.page(id);
        entry
            .parent(tree)
            .media_box(Rect::new(0.0, 0.0, width, height))
            .contents(content);
        entry.resources().x_objects().pair(Name(b"I"), image);
        entry.finish();
        let mut object = pdf.image_xobject(image, &page.jpeg);
        object.filter(pdf_writer::Filter::DctDecode);
        object
            .width(i32::try_from(page.width).unwrap_or(i32::MAX))
            .height(i32::try_from(page.height).unwrap_or(i32::MAX))
            .bits_per_component(8);
        if page.grey {
            object.color_space().device_gray();
        } else {
            object.color_space().device_rgb();
        }
        object.finish();
        let mut draw = Content::new();
        draw.save_state()
            .transform([width, 0.0, 0.0, height, 0.0, 0.0])
            .x_object(Name(b"I"))
            .restore_state();
        pdf.stream(content, &draw.finish());
    }
    let count = i32::try_from(kids.len()).unwrap_or(i32::MAX);
    pdf.pages(tree).kids(kids).count(count);
    pdf.finish()
}

/// Pixels as points. An image has far fewer on a side than a float tells apart.
fn side(pixels: u32) -> f32 {
    f32::from(u16::try_from(pixels).unwrap_or(u16::MAX))
}
