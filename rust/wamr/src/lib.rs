//! wramp: wamr.
#![no_std]
