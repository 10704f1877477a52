/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How pjsip is compiled for cig-server.
 *
 * cig-server uses pjsua2 for SIP signalling alone: one trunk, many calls, no media. The default
 * sizes are those of a telephone with four lines; these are those of a gateway. Everything that
 * makes, codes or ciphers sound is left out, both because cig-relay does it and because code that
 * is not there cannot be attacked.
 */

/* The head of the audio channel set-up returns at once: no stream, no jitter buffer, no
 * conference port and no RTP for a call. See guards.py, which puts the guard in. */
#define CIG_NO_STREAM                   1

/* A MESSAGE is answered by the gateway, instead of taken with 200 at once. See guards.py too. */
#define CIG_MESSAGE                     1

/* ---- Basics ---------------------------------------------------------------------------- */

#define PJ_HAS_IPV6                     1

/* Levels 4 and 5 are for the stack's developers; and pjlib writes them to standard output before
 * anybody can tell it where to log. */
#define PJ_LOG_MAX_LEVEL                3

/* One descriptor per SIP connection (TCP and TLS), and the UDP ports; the same number also
 * bounds the number of SIP transports. */
#define PJ_IOQUEUE_MAX_HANDLES          4096

/* A call holds several timers: the heap stays fast with thousands, a linked list does not. */
#define PJ_TIMER_USE_LINKED_LIST        0

/* ---- SIP ------------------------------------------------------------------------------- */

/* A finished transaction stays for 32 s (RFC 3261 section 17): at 500 calls a second with two
 * transactions each that is 32,000 of them. The compiled value is the size of a hash table. */
#define PJSIP_MAX_TSX_COUNT             65535
#define PJSIP_MAX_DIALOG_COUNT          8191

/* Allocated for every message sent, and held as long as its transaction lives: 64 KiB would
 * cost 178 kB a finished call for 32 s, 8,000 octets cost 66 kB. */
#define PJSIP_MAX_PKT_LEN               8000
#define PJSIP_MAX_URL_SIZE              512

/* A burst of calls must fit in the socket while the one thread is busy. */
#define PJSIP_UDP_SO_RCVBUF_SIZE        (4 * 1024 * 1024)
#define PJSIP_UDP_SO_SNDBUF_SIZE        (4 * 1024 * 1024)
#define PJSIP_TCP_TRANSPORT_BACKLOG     128

/* A trunk's peer is no client behind a home router: nothing has to be kept open. */
#define PJSIP_TCP_KEEP_ALIVE_INTERVAL   0
#define PJSIP_TLS_KEEP_ALIVE_INTERVAL   0

#define PJSIP_HAS_TLS_TRANSPORT         1

/* Modules are registered at start and never removed: no lock around each of them. */
#define PJSIP_SAFE_MODULE               0

/* ---- pjsua ----------------------------------------------------------------------------- */

/* Above it pjsip answers 486 by itself. cig-server has a lower limit of its own, for 503. */
#define PJSUA_MAX_CALLS                 2000
#define PJSUA_MAX_ACC                   64
#define PJSUA_MAX_PLAYERS               2
#define PJSUA_MAX_RECORDERS             2
#define PJSUA_MAX_CONF_PORTS            (PJSUA_MAX_CALLS + 16)

/* ---- Media: only what SDP negotiation asks for ------------------------------------------- */

/* The gateway's SDP offers A-law and u-law, so pjsua has to know that these two exist. */
#define PJMEDIA_HAS_G711_CODEC          1

#define PJMEDIA_HAS_VIDEO               0
#define PJMEDIA_HAS_SRTP                0
#define PJMEDIA_HAS_L16_CODEC           0
#define PJMEDIA_HAS_GSM_CODEC           0
#define PJMEDIA_HAS_SPEEX_CODEC         0
#define PJMEDIA_HAS_ILBC_CODEC          0
#define PJMEDIA_HAS_G722_CODEC          0
#define PJMEDIA_HAS_G7221_CODEC         0
#define PJMEDIA_HAS_RTCP_XR             0
#define PJMEDIA_STREAM_ENABLE_XR        0
#define PJMEDIA_STREAM_ENABLE_KA        0
#define PJMEDIA_HAS_SPEEX_AEC           0
#define PJMEDIA_HAS_WEBRTC_AEC          0
#define PJMEDIA_HAS_WEBRTC_AEC3         0
#define PJMEDIA_HAS_LEGACY_SOUND_API    0
