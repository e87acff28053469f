//! What RocksDB's build needs beyond `./setup`: tests, checks and benchmarks build it, the product does not.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use millstream_testkit::fetch;

/// Installs libclang, which generates the bindings of RocksDB, where it is missing.
pub(crate) fn install() -> Result<()> {
    let elsewhere = env::var_os("LIBCLANG_PATH").is_some();
    fetch::apt_package("libclang-dev", || elsewhere || is_below(Path::new("/usr")))
}

// In the folders that the generator of bindings searches.
fn is_below(root: &Path) -> bool {
    let top = below(root).filter(|path| named(path, "lib"));
    let lib = root.join("lib");
    let deep = below(&lib).flat_map(|path| match named(&path, "llvm-") {
        true => vec![path.join("lib")],
        false => vec![path],
    });
    top.chain(deep).any(|folder| below(&folder).any(|file| is_libclang(&file)))
}

fn below(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn named(path: &Path, start: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start))
}

fn is_libclang(file: &Path) -> bool {
    (named(file, "libclang.so") || named(file, "libclang-")) && !named(file, "libclang-cpp")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_where_distributions_put_it() {
        let root = tempfile::tempdir().unwrap();
        let file = |path: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        };
        file("lib/x86_64-linux-gnu/libclang-cpp.so.14");
        file("lib/gcc/libc.so");
        assert!(!is_below(root.path()));
        for path in ["lib64/libclang.so", "lib/llvm-14/lib/libclang-14.so.1", "lib/a-linux-gnu/libclang.so.1"]
        {
            file(path);
            assert!(is_below(root.path()), "{path}");
            fs::remove_file(root.path().join(path)).unwrap();
        }
    }
}
