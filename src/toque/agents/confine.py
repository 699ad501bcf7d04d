"""What an engine that reads somebody's model file can never do: run a program, trace others, change the system (S19).

Law: it only takes away, for good, and in this thread and all that it starts; where the kernel cannot, nothing changes and the
answer says so. It is called before a byte of the model is read.
Source: linux/seccomp.h, linux/filter.h, and the tables of system calls of both processors.
"""

import ctypes
import errno
import platform
import struct

_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2
_RETURN_ALLOW = 0x7FFF0000
_RETURN_ERRNO = 0x00050000
_LOAD_WORD, _JUMP_EQUAL, _JUMP_FROM, _RETURN = 0x20, 0x15, 0x35, 0x06
"""BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JEQ|BPF_K, BPF_JMP|BPF_JGE|BPF_K, BPF_RET|BPF_K."""
_X32 = 0x40000000
"""From here on the same calls come once more, under numbers of their own, for programs with short pointers."""
_OFFSET_NUMBER, _OFFSET_PROCESSOR = 0, 4  # in struct seccomp_data

# fmt: off
_PROCESSORS = {  # machine: AUDIT_ARCH, and the calls that are refused
    "x86_64": (0xC000003E, {
        "execve": 59, "execveat": 322, "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "mount": 165,
        "umount2": 166, "pivot_root": 155, "chroot": 161, "unshare": 272, "setns": 308, "init_module": 175,
        "finit_module": 313, "delete_module": 176, "kexec_load": 246, "kexec_file_load": 320, "bpf": 321,
        "perf_event_open": 298, "userfaultfd": 323, "add_key": 248, "keyctl": 250, "reboot": 169, "swapon": 167, "swapoff": 168,
    }),
    "aarch64": (0xC00000B7, {
        "execve": 221, "execveat": 281, "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "mount": 40,
        "umount2": 39, "pivot_root": 41, "chroot": 51, "unshare": 97, "setns": 268, "init_module": 105,
        "finit_module": 273, "delete_module": 106, "kexec_load": 104, "kexec_file_load": 294, "bpf": 280,
        "perf_event_open": 241, "userfaultfd": 282, "add_key": 217, "keyctl": 219, "reboot": 142, "swapon": 224, "swapoff": 225,
    }),
}
# fmt: on


def confine() -> bool:
    """Take it all away; False where this kernel or processor cannot."""
    known = _PROCESSORS.get(platform.machine())
    if platform.system() != "Linux" or known is None:
        return False
    program = _program(*known)
    instructions = ctypes.create_string_buffer(program, len(program))
    count = ctypes.c_ushort(len(program) // 8)
    header = struct.pack("HxxxxxxP", count.value, ctypes.addressof(instructions))  # struct sock_fprog
    prctl = ctypes.CDLL(None).prctl
    if prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return False
    return not prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.create_string_buffer(header, len(header)), 0, 0)


def _program(processor: int, refused: dict[str, int]) -> bytes:
    """Write the filter: another processor's calls and the refused ones fail with EPERM, all others pass."""
    numbers = sorted(refused.values())
    lines = [
        (_LOAD_WORD, 0, 0, _OFFSET_PROCESSOR),
        (_JUMP_EQUAL, 0, len(numbers) + 3, processor),  # else to the refusal
        (_LOAD_WORD, 0, 0, _OFFSET_NUMBER),
        (_JUMP_FROM, len(numbers) + 1, 0, _X32),
        *((_JUMP_EQUAL, len(numbers) - place, 0, number) for place, number in enumerate(numbers)),
        (_RETURN, 0, 0, _RETURN_ALLOW),
        (_RETURN, 0, 0, _RETURN_ERRNO | errno.EPERM),
    ]
    return b"".join(struct.pack("HBBI", *line) for line in lines)
