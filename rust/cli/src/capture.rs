//! stub
#[derive(Debug, clap::Args)]
/// x
pub struct CaptureArgs {}
/// x
pub fn execute(_: &CaptureArgs) -> crate::Outcome {
    unreachable!()
}
