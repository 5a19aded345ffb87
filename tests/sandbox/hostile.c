#include "hostile.h"

#define FAILED    (1U << AE_RUN_FAILED)
#define TIMED_OUT (1U << AE_RUN_TIMED_OUT)
#define MEMORY    (1U << AE_RUN_MEMORY)
#define SIGNALLED (1U << AE_RUN_SIGNAL)

/* call(number, arguments) of the system, past what Python and the C library check. */
#define CALL                                                                                                 \
    "import ctypes, os\n"                                                                                    \
    "libc = ctypes.CDLL(None, use_errno=True)\n"                                                             \
    "def call(*a):\n"                                                                                        \
    "    if libc.syscall(*[ctypes.c_long(x) for x in a]) < 0:\n"                                             \
    "        e = ctypes.get_errno()\n"                                                                       \
    "        raise OSError(e, os.strerror(e))\n"

const hostile hostile_programs[] = {
    /* ---- using up the machine ---- */
    {"fork_bomb", "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass\n",
     TIMED_OUT | MEMORY, NULL},
    {"hundred_processes", "import os, time\nfor i in range(100):\n    if os.fork() == 0: time.sleep(100)\n",
     FAILED | MEMORY, "BlockingIOError|more memory"},
    {"thousand_threads",
     "import threading, time\nfor i in range(1000): threading.Thread(target=time.sleep, "
     "args=(100,)).start()\n",
     FAILED, "can't start new thread"},
    {"memory_bomb", "x = b'x'\nwhile True: x += x\n", MEMORY, NULL},
    {"memory_of_many",
     "import os, time\nfor i in range(8):\n    if os.fork() == 0:\n        x = b'x' * (25 << 20)\n"
     "        time.sleep(100)\ntime.sleep(100)\n",
     MEMORY, "all processes"},
    {"shared_memory", "import os\nos.memfd_create('x')\n", FAILED, "PermissionError"},
    {"disk_fill", "with open('{mark}', 'wb', 0) as f:\n    while True: f.write(b'x' * 65536)\n", FAILED,
     "No space left|File too large"},
    {"many_small_files_fill_the_disk",
     "for i in range(10000):\n    with open('{mark}%d' % i, 'wb') as f: f.write(b'x' * 65536)\n", FAILED,
     "No space left"},
    {"sparse_file", "with open('{mark}', 'wb') as f: f.truncate(1 << 40)\n", FAILED, "File too large"},
    {"endless_files", "import os\nn = 0\nwhile True:\n    n += 1\n    os.mkdir('{mark}%d' % n)\n",
     FAILED | TIMED_OUT, NULL},
    {"endless_output", "import os\nwhile True: os.write(1, b'x' * 65536)\n", TIMED_OUT, NULL},
    {"endless_errors", "import os\nwhile True: os.write(2, b'x' * 65536)\n", TIMED_OUT, NULL},
    {"huge_last_word", "raise SystemExit('x' * 20000000)\n", FAILED, "xxx"},
    {"sleeps_forever", "import time\nwhile True: time.sleep(1e6)\n", TIMED_OUT, NULL},
    {"catches_everything",
     "while True:\n    try:\n        while True: pass\n    except BaseException: pass\n", TIMED_OUT, NULL},
    {"ignores_signals",
     "import signal\nfor s in range(1, 65):\n    try: signal.signal(s, signal.SIG_IGN)\n    except (OSError, "
     "ValueError): pass\nwhile True: pass\n",
     TIMED_OUT, NULL},
    {"deep_recursion", "import sys\nsys.setrecursionlimit(10**9)\ndef f(): return f() + 1\nf()\n",
     FAILED | SIGNALLED | MEMORY | TIMED_OUT, NULL},
    {"segmentation_fault", "import ctypes\nctypes.string_at(0)\n", SIGNALLED, NULL},

    /* ---- the network ---- */
    {"connects", "import socket\nsocket.create_connection(('1.1.1.1', 53), 2)\n", FAILED, "PermissionError"},
    {"listens", "import socket\nsocket.socket().bind(('127.0.0.1', 0))\n", FAILED, "PermissionError"},
    {"talks_to_the_host", "import socket\nsocket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)\n", FAILED,
     "PermissionError"},
    {"resolves", "import socket\nsocket.getaddrinfo('example.com', 80)\n", FAILED, "gaierror"},

    /* ---- files ---- */
    {"reads_the_home_folder", "import os\nos.listdir('{home}')\n", FAILED, "FileNotFoundError"},
    {"reads_the_repository", "open('{source}/CMakeLists.txt').read()\n", FAILED, "FileNotFoundError"},
    {"reads_a_secret", "open('{secret}').read()\n", FAILED, "FileNotFoundError"},
    {"reads_passwords", "open('/etc/shadow').read()\n", FAILED, "FileNotFoundError"},
    {"reads_through_a_link",
     "import os\nos.symlink('../../../../../..{secret}', '{mark}')\nopen('{mark}').read()\n", FAILED,
     "FileNotFoundError"},
    {"leaves_through_proc", "import os\nos.symlink('/proc/1/root/etc', '{mark}')\nos.listdir('{mark}')\n",
     FAILED, "FileNotFoundError"},
    {"leaves_by_a_root_of_its_own", "import os\nos.mkdir('{mark}')\nos.chroot('{mark}')\n", FAILED,
     "PermissionError"},
    {"writes_to_usr", "open('/usr/{mark}', 'w')\n", FAILED, "Read-only file system"},
    {"writes_to_root_and_dev",
     "import os\nfor folder in ('/', '/dev', '/dev/shm', '/usr/lib', '/var/tmp'):\n    try: open(folder + "
     "'/{mark}', 'w')\n    except OSError: pass\n    else: break\nelse: raise SystemExit('nowhere')\n",
     FAILED, "nowhere"},
    {"replaces_the_interpreter",
     "import os, sys\nos.rename(os.path.realpath(sys.executable), '/tmp/{mark}')\n", FAILED, "Error"},
    {"odd_names",
     "import os\nfor n in (b'\\xff\\xfe', b'a\\nb', b'\\x1b[2J', b'-rf', b'x' * 255):\n    open(b'{mark}' + "
     "n[:200], "
     "'w')\nfor i in range(900):\n    os.mkdir('d')\n    os.chdir('d')\nraise SystemExit('made')\n",
     FAILED, "made"},
    {"makes_a_disk", "import os, stat\nos.mknod('{mark}', 0o600 | stat.S_IFBLK, os.makedev(8, 0))\n", FAILED,
     "PermissionError"},
    {"mounts",
     CALL "libc.mount.argtypes = None\nif libc.mount(b'none', b'/tmp', b'tmpfs', 0, None):\n    e = "
          "ctypes.get_errno()\n    raise OSError(e, os.strerror(e))\n",
     FAILED, "PermissionError"},

    /* ---- other processes ---- */
    {"kills_the_test", "import os\nos.kill({pid}, 9)\n", FAILED, "ProcessLookupError"},
    {"kills_everything",
     "import os, time\nfor who in (1, os.getppid(), -1):\n    try: os.kill(who, 9)\n    except OSError: "
     "pass\ntime.sleep(100)\n",
     TIMED_OUT | SIGNALLED, NULL},
    {"traces", CALL "call(101, 16, 1, 0, 0)\n", FAILED, "PermissionError"},
    {"reads_memory_of_others", CALL "call(310, 1, 0, 0, 0, 0, 0)\n", FAILED, "PermissionError"},
    {"pokes_in_proc", "open('/proc/self/mem', 'r+b')\n", FAILED, "FileNotFoundError"},
    {"lists_processes", "import os\nos.listdir('/proc')\n", FAILED, "FileNotFoundError"},
    {"pokes_in_sys", "import os\nos.listdir('/sys')\n", FAILED, "FileNotFoundError"},
    {"daemon",
     "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        for fd in "
     "range(3): "
     "os.close(fd)\n        time.sleep(1000)\n    os._exit(0)\nos._exit(0)\n",
     FAILED, "exit before the end"},

    /* ---- more rights ---- */
    {"becomes_root", "import os\nos.setuid(0)\n", FAILED, "Error"},
    {"runs_a_setuid_program", "import subprocess\nsubprocess.run(['su', '-c', 'true'], check=True)\n", FAILED,
     "Error"},
    {"makes_a_user_namespace", CALL "call(272, 0x10000000)\n", FAILED, "PermissionError"},
    {"clones_into_a_namespace", CALL "call(56, 0x10000000 | 17, 0, 0, 0, 0)\n", FAILED, "PermissionError"},
    {"clones_by_the_newer_call", CALL "call(435, 0, 0)\n", FAILED, "Function not implemented"},
    {"joins_a_namespace", CALL "call(308, 0, 0)\n", FAILED, "PermissionError"},
    {"keys", CALL "call(250, 0, -3, 1)\n", FAILED, "PermissionError"},
    {"programs_of_the_kernel", CALL "call(321, 0, 0, 0)\n", FAILED, "PermissionError"},
    {"rings_of_the_kernel", CALL "call(425, 1, 0)\n", FAILED, "PermissionError"},
    {"performance_events", CALL "call(298, 0, 0, -1, -1, 0)\n", FAILED, "PermissionError"},

    /* ---- standard streams ---- */
    {"reads_input", "input()\n", FAILED, "EOFError"},
    {"types_into_the_terminal",
     "import fcntl\nfor fd in (0, 1, 2, 3):\n    try: fcntl.ioctl(fd, 0x5412, b'x')\n    except "
     "PermissionError: "
     "pass\nopen('/dev/tty', 'w')\n",
     FAILED, "No such device or address"},
    {"writes_to_every_descriptor",
     "import os\nfor fd in range(256):\n    try: os.write(fd, b'harm')\n    except OSError: "
     "pass\nos._exit(0)\n",
     FAILED, "exit before the end"},
    {"closes_every_descriptor", "import os\nos.closerange(0, 1000)\n", FAILED, ""},

    /* ---- passing without passing ---- */
    {"leaves_early", "import sys\nsys.exit(0)\nassert False\n", FAILED, "SystemExit: 0"},
    {"leaves_at_once", "import os\nos._exit(0)\n", FAILED, "exit before the end"},
    {"claims_to_have_passed", "import os\nos.write(3, b'0' * 32)\nos._exit(0)\n", FAILED,
     "exit before the end"},
    {"becomes_another_program", "import os\nos.execv('/usr/bin/true', ['true'])\n", FAILED,
     "exit before the end"},
    {"is_no_program", "def f(:\n", FAILED, "SyntaxError"},
};

const size_t hostile_count = sizeof hostile_programs / sizeof *hostile_programs;
