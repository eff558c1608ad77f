//! What a second and an empty assignment of a setting mean (systemd.unit(5) and the pages of each
//! section; systemd 252).

/// How assignments of one key come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The last one holds; an empty one brings back the default.
    Last,
    /// The last one holds; an empty one is ignored with a warning.
    LastNotEmpty,
    /// Values add up; an empty one drops all so far, of every key of the group.
    List(Group),
    /// Values add up and cannot be taken back (dependencies between units).
    Adds,
    /// The last one holds; an empty one makes the whole unit unusable.
    LastOrFatal,
}

/// Keys whose lists are emptied together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// The key alone.
    Alone,
    /// Every `Condition…=`.
    Conditions,
    /// Every `Assert…=`.
    Asserts,
    /// `BindPaths=` and `BindReadOnlyPaths=`.
    Binds,
    /// `StandardInputText=` and `StandardInputData=`.
    Input,
    /// Every `Listen…=` of a socket.
    Listen,
    /// Every trigger of a timer.
    Timers,
    /// Every watched path of a path unit.
    Paths,
}

/// The section and key of today for a setting under an old name; others as they are.
pub fn current<'a>(section: &'a str, key: &'a str) -> (&'a str, &'a str) {
    match (section, key) {
        (_, "ReadWriteDirectories") => (section, "ReadWritePaths"),
        (_, "ReadOnlyDirectories") => (section, "ReadOnlyPaths"),
        (_, "InaccessibleDirectories") => (section, "InaccessiblePaths"),
        ("Unit", "BindTo") => (section, "BindsTo"),
        ("Unit", "PropagateReloadTo") => (section, "PropagatesReloadTo"),
        ("Unit", "PropagateReloadFrom") => (section, "ReloadPropagatedFrom"),
        ("Unit", "RequiresOverridable") => (section, "Requires"),
        ("Unit", "RequisiteOverridable") => (section, "Requisite"),
        ("Unit" | "Service", "StartLimitInterval") => ("Unit", "StartLimitIntervalSec"),
        (
            "Service",
            "StartLimitBurst" | "StartLimitAction" | "FailureAction" | "RebootArgument",
        ) => ("Unit", key),
        _ => (section, key),
    }
}

/// How a key is read.
pub fn kind(section: &str, key: &str) -> Kind {
    if let Some(group) = list(key).filter(|group| group.is_in(section)) {
        return Kind::List(group);
    }
    if matches!(section, "Unit" | "Install") && ADDS.contains(&key) {
        return Kind::Adds;
    }
    // The same names mean a file system's type and a swap's priority, which may be empty.
    if matches!((section, key), ("Mount", "Type") | ("Swap", "Priority")) {
        return Kind::Last;
    }
    match key {
        "Sockets" if section == "Service" => Kind::Adds,
        "DynamicUser" if matches!(section, "Service" | "Socket" | "Mount" | "Swap") => {
            Kind::LastOrFatal
        }
        _ if NOT_EMPTY.binary_search(&key).is_ok() => Kind::LastNotEmpty,
        _ => Kind::Last,
    }
}

impl Group {
    fn is_in(self, section: &str) -> bool {
        match self {
            Self::Conditions | Self::Asserts => section == "Unit",
            Self::Listen => section == "Socket",
            Self::Timers => section == "Timer",
            Self::Paths => section == "Path",
            _ => true,
        }
    }
}

fn list(key: &str) -> Option<Group> {
    Some(match key {
        _ if key.starts_with("Condition") => Group::Conditions,
        _ if key.starts_with("Assert") => Group::Asserts,
        "BindPaths" | "BindReadOnlyPaths" => Group::Binds,
        "StandardInputText" | "StandardInputData" => Group::Input,
        _ if key.starts_with("Listen") => Group::Listen,
        "OnCalendar" | "OnActiveSec" | "OnBootSec" | "OnStartupSec" | "OnUnitActiveSec"
        | "OnUnitInactiveSec" => Group::Timers,
        "PathExists" | "PathExistsGlob" | "PathChanged" | "PathModified" | "DirectoryNotEmpty" => {
            Group::Paths
        }
        _ if LISTS.binary_search(&key).is_ok() => Group::Alone,
        _ => return None,
    })
}

/// Lists that are emptied by an empty value, sorted.
const LISTS: &[&str] = &[
    "AmbientCapabilities",
    "BPFProgram",
    "BlockIODeviceWeight",
    "BlockIOReadBandwidth",
    "BlockIOWriteBandwidth",
    "CPUAffinity",
    "CacheDirectory",
    "CapabilityBoundingSet",
    "ConfigurationDirectory",
    "CoredumpFilter",
    "Delegate",
    "DeviceAllow",
    "DisableControllers",
    "Documentation",
    "Environment",
    "EnvironmentFile",
    "ExecCondition",
    "ExecPaths",
    "ExecReload",
    "ExecSearchPath",
    "ExecStart",
    "ExecStartPost",
    "ExecStartPre",
    "ExecStop",
    "ExecStopPost",
    "ExecStopPre",
    "ExtensionDirectories",
    "ExtensionImages",
    "IODeviceLatencyTargetSec",
    "IODeviceWeight",
    "IOReadBandwidthMax",
    "IOReadIOPSMax",
    "IOWriteBandwidthMax",
    "IOWriteIOPSMax",
    "IPAddressAllow",
    "IPAddressDeny",
    "IPEgressFilterPath",
    "IPIngressFilterPath",
    "InaccessibleDirectories",
    "InaccessiblePaths",
    "LoadCredential",
    "LoadCredentialEncrypted",
    "LogExtraFields",
    "LogsDirectory",
    "MountImages",
    "NoExecPaths",
    "PassEnvironment",
    "ReadOnlyDirectories",
    "ReadOnlyPaths",
    "ReadWriteDirectories",
    "ReadWritePaths",
    "RestartForceExitStatus",
    "RestartPreventExitStatus",
    "RestrictAddressFamilies",
    "RestrictFileSystems",
    "RestrictNamespaces",
    "RestrictNetworkInterfaces",
    "RootImageOptions",
    "RuntimeDirectory",
    "SecureBits",
    "SetCredential",
    "SetCredentialEncrypted",
    "SocketBindAllow",
    "SocketBindDeny",
    "StateDirectory",
    "SuccessExitStatus",
    "SupplementaryGroups",
    "Symlinks",
    "SystemCallArchitectures",
    "SystemCallFilter",
    "SystemCallLog",
    "TemporaryFileSystem",
    "UnsetEnvironment",
];

/// Dependencies and `[Install]`: an empty value changes nothing.
const ADDS: &[&str] = &[
    "After",
    "Alias",
    "Also",
    "Before",
    "BindTo",
    "BindsTo",
    "Conflicts",
    "JoinsNamespaceOf",
    "OnFailure",
    "OnSuccess",
    "PartOf",
    "PropagateReloadFrom",
    "PropagateReloadTo",
    "PropagatesReloadTo",
    "PropagatesStopTo",
    "ReloadPropagatedFrom",
    "RequiredBy",
    "Requires",
    "RequiresMountsFor",
    "RequiresOverridable",
    "Requisite",
    "RequisiteOverridable",
    "StopPropagatedFrom",
    "Upholds",
    "WantedBy",
    "Wants",
];

/// Settings that take no empty value (booleans, numbers, names from a list), sorted.
const NOT_EMPTY: &[&str] = &[
    "Accept",
    "AccuracySec",
    "AllowIsolate",
    "Backlog",
    "BindIPv6Only",
    "BlockIOAccounting",
    "Broadcast",
    "BusName",
    "CPUAccounting",
    "CPUSchedulingPriority",
    "CPUSchedulingResetOnFork",
    "CacheDirectoryMode",
    "CollectMode",
    "ConfigurationDirectoryMode",
    "DefaultDependencies",
    "DeferAcceptSec",
    "DevicePolicy",
    "DirectoryMode",
    "ExitType",
    "FailureAction",
    "FileDescriptorStoreMax",
    "FinalKillSignal",
    "FixedRandomDelay",
    "FlushPending",
    "ForceUnmount",
    "FreeBind",
    "GuessMainPID",
    "IOAccounting",
    "IPAccounting",
    "IPTTL",
    "IgnoreOnIsolate",
    "IgnoreSIGPIPE",
    "JobRunningTimeoutSec",
    "JobTimeoutAction",
    "JobTimeoutSec",
    "KeepAlive",
    "KeepAliveIntervalSec",
    "KeepAliveProbes",
    "KeepAliveTimeSec",
    "KeyringMode",
    "KillSignal",
    "LazyUnmount",
    "LimitAS",
    "LimitCORE",
    "LimitCPU",
    "LimitDATA",
    "LimitFSIZE",
    "LimitLOCKS",
    "LimitMEMLOCK",
    "LimitMSGQUEUE",
    "LimitNICE",
    "LimitNOFILE",
    "LimitNPROC",
    "LimitRSS",
    "LimitRTPRIO",
    "LimitRTTIME",
    "LimitSIGPENDING",
    "LimitSTACK",
    "LockPersonality",
    "LogLevelMax",
    "LogRateLimitBurst",
    "LogRateLimitIntervalSec",
    "LogsDirectoryMode",
    "MakeDirectory",
    "ManagedOOMPreference",
    "Mark",
    "MaxConnections",
    "MaxConnectionsPerSource",
    "MemoryAccounting",
    "MemoryDenyWriteExecute",
    "MessageQueueMaxMessages",
    "MessageQueueMessageSize",
    "NoDelay",
    "NoNewPrivileges",
    "NonBlocking",
    "NotifyAccess",
    "OOMPolicy",
    "OnClockChange",
    "OnFailureIsolate",
    "OnFailureJobMode",
    "OnSuccessJobMode",
    "OnTimezoneChange",
    "PassCredentials",
    "PassPacketInfo",
    "PassSecurity",
    "PermissionsStartOnly",
    "Persistent",
    "PipeSize",
    "Priority",
    "PrivateDevices",
    "PrivateIPC",
    "PrivateMounts",
    "PrivateNetwork",
    "PrivateTmp",
    "PrivateUsers",
    "ProcSubset",
    "ProtectClock",
    "ProtectControlGroups",
    "ProtectHome",
    "ProtectHostname",
    "ProtectKernelLogs",
    "ProtectKernelModules",
    "ProtectKernelTunables",
    "ProtectProc",
    "ProtectSystem",
    "RandomizedDelaySec",
    "ReadWriteOnly",
    "ReceiveBuffer",
    "RefuseManualStart",
    "RefuseManualStop",
    "RemainAfterElapse",
    "RemainAfterExit",
    "RemoveIPC",
    "RemoveOnStop",
    "Restart",
    "RestartKillSignal",
    "RestartSec",
    "RestrictRealtime",
    "RestrictSUIDSGID",
    "ReusePort",
    "RootDirectoryStartOnly",
    "RuntimeDirectoryMode",
    "RuntimeDirectoryPreserve",
    "RuntimeMaxSec",
    "RuntimeRandomizedExtraSec",
    "SELinuxContextFromNet",
    "SendBuffer",
    "SendSIGHUP",
    "SendSIGKILL",
    "Service",
    "Slice",
    "SloppyOptions",
    "SocketMode",
    "SocketProtocol",
    "StandardError",
    "StandardInput",
    "StandardOutput",
    "StartLimitAction",
    "StartLimitBurst",
    "StartLimitInterval",
    "StartLimitIntervalSec",
    "StateDirectoryMode",
    "StopWhenUnneeded",
    "SuccessAction",
    "SyslogFacility",
    "SyslogLevel",
    "SyslogLevelPrefix",
    "TTYReset",
    "TTYVHangup",
    "TTYVTDisallocate",
    "TasksAccounting",
    "TimeoutCleanSec",
    "TimeoutIdleSec",
    "TimeoutSec",
    "TimeoutStartFailureMode",
    "TimeoutStartSec",
    "TimeoutStopFailureMode",
    "TimeoutStopSec",
    "TimerSlackNSec",
    "Timestamping",
    "Transparent",
    "TriggerLimitBurst",
    "TriggerLimitIntervalSec",
    "Type",
    "UMask",
    "Unit",
    "UtmpMode",
    "WakeSystem",
    "WatchdogSec",
    "WatchdogSignal",
    "Writable",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_apart() {
        assert!(LISTS.is_sorted() && NOT_EMPTY.is_sorted());
        assert!(LISTS.iter().all(|key| NOT_EMPTY.binary_search(key).is_err()));
        assert!(ADDS.iter().all(|key| list(key).is_none()));
    }

    #[test]
    fn groups_are_emptied_together() {
        let Kind::List(group) = kind("Unit", "ConditionPathExists") else { panic!("no list") };
        assert_eq!(kind("Unit", "ConditionHost"), Kind::List(group));
        assert_ne!(kind("Unit", "AssertHost"), Kind::List(group));
        assert_eq!(kind("Service", "NoNewPrivileges"), Kind::LastNotEmpty);
        assert_eq!(kind("Unit", "After"), Kind::Adds);
        assert_eq!(kind("Service", "User"), Kind::Last);
    }
}
