//! The operator's configuration: `/etc/wardmote/wardmote.yaml`, drop-ins, environment, flags.
