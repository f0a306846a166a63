//! The load with console-subscriber, to which nobody is attached.

fn main() -> std::io::Result<()> {
    console_subscriber::ConsoleLayer::builder().server_addr(([127, 0, 0, 1], 0)).init();
    let load = outside::Load::from_arguments();
    load.run(&load.builder().build()?);
    Ok(())
}
