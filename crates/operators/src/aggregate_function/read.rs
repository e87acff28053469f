//! Functions over one value of each record.

/// An aggregate function that reads a value from each record.
macro_rules! of_a_value {
    ($(#[$doc:meta])* $name:ident: $($value:tt)+) => {
        $(#[$doc])*
        pub struct $name<T, F> {
            read: Arc<F>,
            of: PhantomData<fn(T)>,
        }

        impl<T, F> $name<T, F> {
            /// Over what `read` returns for each record.
            pub fn of<V: $($value)+>(read: F) -> Self
            where
                F: Fn(&T) -> V,
            {
                Self { read: Arc::new(read), of: PhantomData }
            }
        }

        impl<T, F> Clone for $name<T, F> {
            fn clone(&self) -> Self {
                Self { read: Arc::clone(&self.read), of: PhantomData }
            }
        }
    };
}
pub(super) use of_a_value;
