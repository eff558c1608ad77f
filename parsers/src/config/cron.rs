//! System and user crontabs (crontab(5)).
