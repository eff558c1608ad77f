//! sysctl.d(5): what the files will set after a reboot, with the precedence of drop-ins.
