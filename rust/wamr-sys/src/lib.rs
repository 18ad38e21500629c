//! wramp: wamr-sys.
#![no_std]
