//! The load alone.

fn main() -> std::io::Result<()> {
    let load = outside::Load::from_arguments();
    load.run(&load.builder().build()?);
    Ok(())
}
