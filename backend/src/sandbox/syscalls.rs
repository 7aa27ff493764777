//! The system calls that a confined program does without (seccomp): what Landlock does not see, and
//! what no converter needs.
//!
//! All others are allowed: which ones LibreOffice and ffmpeg use differs from version to version.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};

/// The bit of a number that says x32, where there is that: the same calls by other numbers
/// (arch/x86/include/uapi/asm/unistd.h).
#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;

/// Always denied.
const DENIED: &[i64] = &[
    // Other processes: to look into, to end, to slow down. Landlock keeps the first away too; of
    // signals it does only since Linux 6.12.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_tgkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_setpriority,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setattr,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setscheduler,
    libc::SYS_ioprio_set,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    // Whoever listens on a socket of this machine.
    libc::SYS_connect,
    // What of a file Landlock does not keep: its length (before Linux 6.2) and who may do what.
    libc::SYS_truncate,
    libc::SYS_fchmodat,
    libc::SYS_fchmodat2,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_open_by_handle_at,
    // Memory and messages that processes of one user share.
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_semget,
    libc::SYS_semctl,
    libc::SYS_msgget,
    libc::SYS_msgctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    // Parts of the kernel that are large, and not for converters.
    libc::SYS_add_key,
    libc::SYS_keyctl,
    libc::SYS_request_key,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_fanotify_init,
    libc::SYS_syslog,
    // Namespaces and mounts.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    // The same as above, as older architectures call it.
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
];

/// Denied as if this system did not have them, so that a program takes the other way: `io_uring`
/// makes sockets unseen by a filter, and the flags of `clone3` are out of its sight.
const ABSENT: &[i64] = &[
    libc::SYS_clone3,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// What only x32 has by these numbers, among it `ptrace` and `process_vm_readv`
/// (arch/x86/entry/syscalls/syscall_64.tbl): no converter is of that kind.
#[cfg(target_arch = "x86_64")]
const ONLY_X32: std::ops::RangeInclusive<i64> = 512..=547;

/// Flags of `clone` that make a namespace.
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWUTS,
];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Denies them to this thread and all that it becomes.
///
/// # Errors
/// One sentence; then some may be denied and others not.
pub(super) fn deny() -> Result<(), String> {
    let told = |error: seccompiler::Error| format!("no seccomp: {error}");
    for filter in filters().map_err(|error| format!("no seccomp: {error}"))? {
        apply_filter(&filter).map_err(told)?;
    }
    Ok(())
}

fn filters() -> Result<[BpfProgram; 2], seccompiler::BackendError> {
    let mut denied: Rules = DENIED.iter().map(|call| (*call, vec![])).collect();
    let sockets = sockets()?;
    denied.insert(libc::SYS_socket, sockets.clone());
    denied.insert(libc::SYS_socketpair, sockets);
    let namespaces = NAMESPACES.iter().map(|flag| {
        let flag = flag.unsigned_abs().into();
        rule(0, SeccompCmpOp::MaskedEq(flag), flag)
    });
    denied.insert(libc::SYS_clone, namespaces.collect::<Result<_, _>>()?);
    // LibreOffice asks whether it may write to `/tmp`, and listens there if it may: Landlock would
    // not let it, nor tell it here. Told no, it takes `OSL_SOCKET_PATH`.
    let writable = libc::W_OK.unsigned_abs().into();
    #[cfg(target_arch = "x86_64")]
    denied.insert(libc::SYS_access, vec![rule(1, SeccompCmpOp::Eq, writable)?]);
    denied.insert(
        libc::SYS_faccessat,
        vec![rule(2, SeccompCmpOp::Eq, writable)?],
    );
    // Limits of other processes than the caller.
    denied.insert(libc::SYS_prlimit64, vec![rule(0, SeccompCmpOp::Ne, 0)?]);
    let absent: Rules = ABSENT.iter().map(|call| (*call, vec![])).collect();
    Ok([
        compile(denied, libc::EPERM)?,
        compile(absent, libc::ENOSYS)?,
    ])
}

/// Sockets that are not streams within this machine. Datagrams could be sent to an address without
/// a connection.
fn sockets() -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let unix = libc::AF_UNIX.unsigned_abs().into();
    let mut rules = vec![rule(0, SeccompCmpOp::Ne, unix)?];
    for kind in [libc::SOCK_DGRAM, libc::SOCK_RAW, libc::SOCK_SEQPACKET] {
        // The other bits say how, not what.
        rules.push(rule(
            1,
            SeccompCmpOp::MaskedEq(0xf),
            kind.unsigned_abs().into(),
        )?);
    }
    Ok(rules)
}

fn rule(
    argument: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(
        argument,
        SeccompCmpArgLen::Dword,
        operator,
        value,
    )?])
}

fn compile(rules: Rules, errno: i32) -> Result<BpfProgram, seccompiler::BackendError> {
    #[cfg(target_arch = "x86_64")]
    let rules = {
        let mut all: Rules = rules
            .iter()
            .map(|(call, rules)| (call | X32, rules.clone()))
            .collect();
        all.extend(ONLY_X32.map(|call| (call | X32, vec![])));
        all.extend(rules);
        all
    };
    SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(errno.unsigned_abs()),
        std::env::consts::ARCH.try_into()?,
    )?
    .try_into()
}
