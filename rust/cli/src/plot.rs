//! stub
#[derive(Debug, clap::Args)]
/// x
pub struct PlotArgs {}
/// x
pub fn execute(_: &PlotArgs) -> crate::Outcome {
    unreachable!()
}
