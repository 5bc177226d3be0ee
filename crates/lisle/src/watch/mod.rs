//! Looking at the threads of a program.

pub mod wire;
