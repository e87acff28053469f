//! What the handles and builders of all servers have in common.

/// A handle that owns its server, or stands for one that somebody else runs.
macro_rules! handle {
    ($handle:ty, $name:literal) => {
        impl $handle {
            /// The process, to ask for its pid or log; `None` if somebody else runs it.
            pub fn server(&self) -> Option<&crate::server::Server> {
                self.server.as_ref()
            }

            /// Stops it in good order; its data stays.
            ///
            /// # Errors
            /// If it is shared between test binaries, or does not end.
            pub fn stop(&mut self) -> anyhow::Result<()> {
                crate::server::owned(&mut self.server, $name)?.stop()
            }

            /// Kills it as a crash would; its data stays.
            ///
            /// # Errors
            /// If it is shared between test binaries, or does not end.
            pub fn kill9(&mut self) -> anyhow::Result<()> {
                crate::server::owned(&mut self.server, $name)?.kill9()
            }

            /// Starts it again on the same data and ports. What it kept in memory alone, such as Redis'
            /// scripts, is gone.
            ///
            /// # Errors
            /// If it is shared between test binaries, or does not start.
            pub fn restart(&mut self) -> anyhow::Result<()> {
                crate::server::owned(&mut self.server, $name)?.restart()
            }
        }
    };
}

/// A builder of a server that has a main port and a home.
macro_rules! placed {
    ($builder:ty) => {
        impl $builder {
            /// The (main) port to listen on; a free one if `None`, or not said.
            pub fn port(mut self, number: impl Into<Option<u16>>) -> Self {
                self.port = number.into();
                self
            }

            /// Where its data goes; a temporary directory if not said.
            pub fn home(mut self, home: crate::server::Home) -> Self {
                self.home = Some(home);
                self
            }
        }
    };
}

pub(crate) use {handle, placed};
