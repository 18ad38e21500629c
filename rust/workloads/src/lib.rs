//! wramp: workloads.
#![no_std]
