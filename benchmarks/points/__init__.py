"""Point clouds: positions and four attributes (f32, i32, u8 × 3, f32)."""
