//! What of the machine the bytes of a picture follow from.

/// Names the kind of processor whose code makes pictures: others may round otherwise, so that what they make is as good, but not the same bytes.
pub fn processor() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        return "x86_64 avx2";
    }
    std::env::consts::ARCH
}
