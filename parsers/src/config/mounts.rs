//! fstab(5) and /proc/PID/mountinfo (proc(5)).
