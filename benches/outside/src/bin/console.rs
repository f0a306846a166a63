//! The load with console-subscriber, without a client.

fn main() -> std::io::Result<()> {
    console_subscriber::ConsoleLayer::builder().server_addr(([127, 0, 0, 1], 0)).init();
    let load = outside::Load::from_arguments();
    load.run(&load.builder().build()?);
    Ok(())
}
