//! An SVG drawn as a PNG.

use std::sync::Arc;

use resvg::{tiny_skia, usvg};

use crate::problem::Problem;

/// A sheet as a PNG. The program brings its own font, so a machine without fonts draws the same
/// picture.
///
/// # Errors
/// Where the picture would be too large.
pub fn png(svg: &str, scale: f32) -> Result<Vec<u8>, Problem> {
    let failed = |what: &str| Problem::new(format!("cannot draw the PNG: {what}"));
    let mut fonts = usvg::fontdb::Database::new();
    fonts.load_font_data(dejavu::sans::regular().to_vec());
    fonts.load_font_data(dejavu::sans::bold().to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    let options = usvg::Options {
        font_family: "DejaVu Sans".into(),
        fontdb: Arc::new(fonts),
        ..usvg::Options::default()
    };
    let tree = usvg::Tree::from_str(svg, &options).map_err(|error| failed(&error.to_string()))?;
    let size = tree.size().to_int_size().scale_by(scale).ok_or_else(|| failed("--scale"))?;
    let mut pixels = tiny_skia::Pixmap::new(size.width(), size.height())
        .ok_or_else(|| failed("too large; lower --scale"))?;
    let transform = tiny_skia::Transform::from_scale(scale, scale);
    resvg::render(&tree, transform, &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| failed(&error.to_string()))
}
