#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# build.sh STAGE TREE: one stage of compiling pjproject's static libraries in TREE.
#
#   configure   our config_site.h and guard go in, everything but signalling is switched off
#   libraries   pjlib, pjlib-util, pjnath, third_party, pjmedia and pjsip; not the applications
#
# The stages are apart so that the caller can name the one it is in. Nothing is installed: the
# wheel links the archives where they lie.
set -eu

stage=$1
tree=$2
here=$(cd "$(dirname "$0")" && pwd)

# The caller may itself run below make, or have flags for other programs in its environment.
unset MAKEFLAGS MAKEOVERRIDES MFLAGS MAKELEVEL CPPFLAGS LDFLAGS LIBS || true

# -fPIC because the archives end in a Python module. NDEBUG because an assertion aborts the
# process, and what a stranger sends must not. The rest is what Debian hardens its packages with.
flags="-O2 -fPIC -DNDEBUG -fstack-protector-strong -D_FORTIFY_SOURCE=2 -Wno-unused-label"

case $stage in
configure)
    cp "$here/config_site.h" "$tree/pjlib/include/pj/config_site.h"
    python3 "$here/guards.py" "$tree"
    cd "$tree"
    # Debian's repacked source leaves bdimad_dev.c out for its licence, but the list of objects
    # still names it.
    sed -i 's/\bbdimad_dev\.o\b//' pjmedia/build/Makefile
    ./configure --disable-shared --enable-epoll \
        --disable-sound --disable-video --disable-resample --disable-speex-aec \
        --disable-speex-codec --disable-gsm-codec --disable-ilbc-codec --disable-l16-codec \
        --disable-g722-codec --disable-g7221-codec --disable-opencore-amr --disable-silk \
        --disable-opus --disable-bcg729 --disable-lyra --disable-libsrtp --disable-libyuv \
        --disable-libwebrtc --disable-libwebrtc-aec3 --disable-sdl --disable-ffmpeg --disable-v4l2 \
        --disable-openh264 --disable-vpx --disable-upnp \
        CFLAGS="$flags" CXXFLAGS="$flags"
    grep -q '^#define PJ_HAS_SSL_SOCK 1' pjlib/include/pj/compat/os_auto.h || {
        echo 'build.sh: configure found no usable OpenSSL (package libssl-dev): no SIP over TLS' >&2
        exit 1
    }
    grep -q 'guid_uuid\.o' pjlib/build/os-auto.mak || {
        echo 'build.sh: configure found no libuuid (package uuid-dev): tags could be guessed' >&2
        exit 1
    }
    ;;
libraries)
    cd "$tree"
    for part in pjlib pjlib-util pjnath third_party pjmedia pjsip; do
        make -j"$(nproc)" -C $part/build
    done
    ;;
*)
    echo "build.sh: no such stage: $stage" >&2
    exit 2
    ;;
esac
