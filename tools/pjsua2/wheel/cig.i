// SPDX-License-Identifier: GPL-3.0-or-later
//
// The Python module: all that pjsua2.i of pjproject has, and MESSAGE of ours (cig_message.c).

%module(directors="1") pjsua2

%include "pjsua2.i"

%{
#include <pjsua-lib/pjsua.h>

extern "C" {
pj_status_t cig_message_answer(unsigned token, int code, const pjsua_msg_data *msg_data);
pj_status_t cig_message_send(unsigned token, const pj_str_t *target, const pj_str_t *text,
                             const pjsua_msg_data *msg_data);
}
%}

%inline %{
// Sends the final response of the MESSAGE with this token; gives 0, or why it could not be sent.
int cigAnswerMessage(unsigned token, int code, const pj::SipTxOption &option)
{
    pjsua_msg_data msg_data;

    option.toPj(msg_data);
    return cig_message_answer(token, code, &msg_data);
}

// Sends a MESSAGE; gives 0, or why it could not be sent. Else Account.onInstantMessageStatus tells
// the final status, with token for userData; it may do so before this returns.
int cigSendMessage(unsigned token, const std::string &target, const std::string &text,
                   const pj::SipTxOption &option)
{
    pjsua_msg_data msg_data;
    pj_str_t to = { const_cast<char*>(target.data()), (pj_ssize_t) target.size() };
    pj_str_t body = { const_cast<char*>(text.data()), (pj_ssize_t) text.size() };

    option.toPj(msg_data);
    return cig_message_send(token, &to, &body, &msg_data);
}
%}
