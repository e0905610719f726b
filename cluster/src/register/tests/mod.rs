//! What the register promises, over stores and links in memory.

mod agreeing;
mod changing;
mod crossing;
mod faults;
mod founding;
mod openraft_suite;
mod refused;
mod seals;
mod words;
mod world;
