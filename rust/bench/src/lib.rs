//! wramp: bench.
#![no_std]
