//! The load with the probe. It records if `LOOPSCOPE_PROBE_SOCKET` is set.

fn main() -> std::io::Result<()> {
    let _probe = loopscope_probe::init();
    let load = outside::Load::from_arguments();
    let mut builder = load.builder();
    if std::env::var_os("WITHOUT_HOOKS").is_none() {
        loopscope_probe::runtime(&mut builder);
    }
    load.run(&builder.build()?);
    Ok(())
}
