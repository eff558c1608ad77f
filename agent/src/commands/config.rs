//! `wardmote config check|show`: does the configuration hold, and what does it come to.

use clap::Subcommand;

use crate::commands::Global;
use crate::exit::Exit;
use crate::settings::Settings;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check the configuration and its drop-ins; exit code 1 when something does not hold
    Check,
    /// Print every setting with the value that holds
    Show,
}

/// Runs it.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    match args.action {
        Action::Show => {
            let settings = Settings::load(global.config.as_deref())?;
            let text = serde_yaml::to_string(&settings)?;
            crate::output::write(global.output.as_deref(), text.as_bytes())?;
            Ok(Exit::Clean)
        }
        // The lists that the site names must hold too.
        Action::Check => match Settings::load(global.config.as_deref())
            .and_then(|settings| settings.site.operator())
        {
            Ok(_) => {
                crate::output::write(global.output.as_deref(), b"ok\n")?;
                Ok(Exit::Clean)
            }
            Err(error) => {
                crate::exit::report(&error);
                Ok(Exit::Found)
            }
        },
    }
}
