//! wramp: host.
#![no_std]
