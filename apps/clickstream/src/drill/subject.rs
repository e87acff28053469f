//! The job that a drill harms, wherever it runs.

use std::time::Duration;

use millstream::Result;

/// A job under drill.
pub trait Subject {
    /// Lets it run for a while.
    ///
    /// # Errors
    /// When it ends by itself: nobody has asked for that.
    fn run_for(&mut self, time: Duration) -> Result<()>;

    /// Deals the blow of this number; afterwards the job runs again, at this parallelism where the blow moves
    /// it. Names the kind of the blow and tells how it went.
    fn deal(&mut self, number: u32, parallelism: u16) -> (String, Result<String>);

    /// Starts the job again after a blow that did not go as it should.
    ///
    /// # Errors
    /// When it cannot be started.
    fn start_anew(&mut self) -> Result<()>;

    /// Ends it in order.
    ///
    /// # Errors
    /// When it does not end so.
    fn stop(&mut self) -> Result<()>;
}
