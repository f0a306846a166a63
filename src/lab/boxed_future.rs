//! The boxed futures of programs.

/// A boxed future without borrows.
pub type BoxFuture<T> = std::pin::Pin<Box<dyn Future<Output = T> + Send>>;
