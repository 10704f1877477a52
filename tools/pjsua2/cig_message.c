/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * MESSAGE outside of calls (RFC 3428), answered when the application has decided.
 *
 * guards.py puts this file beside pjsua_im.c and includes it there. pjsua by itself answers 200
 * before the application hears of a MESSAGE; and what it has for a later answer keeps a pointer to
 * a transaction that may be gone, and takes no header fields.
 *
 * A MESSAGE gets a server transaction, which absorbs its retransmissions, and one of CIG_MESSAGES
 * places with a token. on_pager2 is called with the token, in decimal, for the body: the
 * application reads the request itself from rdata. cig_message_answer() sends the response of a
 * token, once; a transaction that ended by itself has freed its place, and then nothing is sent.
 * While all places are taken, 503 is sent.
 *
 * cig_message_send() sends one, and on_pager_status2 tells the final status; without a response
 * rdata is NULL there.
 *
 * All of this runs in the one thread that polls the stack.
 */

#define CIG_MESSAGES        256
#define CIG_RETRY_AFTER     5

static pj_bool_t cig_message_on_rx_request(pjsip_rx_data *rdata);
static void cig_message_on_tsx_state(pjsip_transaction *tsx, pjsip_event *event);

/* One place: free while tdata is NULL. tdata is the response, to be completed. */
struct cig_message
{
    unsigned             token;
    pjsip_transaction   *tsx;
    pjsip_tx_data       *tdata;
};

static struct cig_message cig_messages[CIG_MESSAGES];
static unsigned cig_message_last_token;

/* Before mod-pjsua-im, which then gets no MESSAGE; behind the dialogs, whose own do not come. */
static pjsip_module cig_message_module =
{
    NULL, NULL,
    { "mod-cig-message", 15 },
    -1,
    PJSIP_MOD_PRIORITY_APPLICATION - 1,
    NULL, NULL, NULL, NULL,
    &cig_message_on_rx_request,
    NULL, NULL, NULL,
    &cig_message_on_tsx_state,
};


static pj_status_t cig_message_init(void)
{
    pj_bzero(cig_messages, sizeof(cig_messages));
    return pjsip_endpt_register_module(pjsua_var.endpt, &cig_message_module);
}


/* Refuse without a transaction. */
static void cig_message_refuse(pjsip_rx_data *rdata, int status)
{
    pjsip_hdr headers;

    pj_list_init(&headers);
    if (status == PJSIP_SC_SERVICE_UNAVAILABLE) {
        pj_list_push_back(&headers, pjsip_retry_after_hdr_create(rdata->tp_info.pool,
                                                                 CIG_RETRY_AFTER));
    }
    pjsip_endpt_respond_stateless(pjsua_var.endpt, rdata, status, NULL, &headers, NULL);
}


static struct cig_message *cig_message_free_place(void)
{
    unsigned i;

    for (i = 0; i < CIG_MESSAGES; ++i) {
        if (cig_messages[i].tdata == NULL)
            return &cig_messages[i];
    }
    return NULL;
}


static pj_bool_t cig_message_on_rx_request(pjsip_rx_data *rdata)
{
    const pj_str_t no_type = { "", 0 };
    struct cig_message *place;
    pjsua_acc_id acc_id;
    pj_str_t empty = { "", 0 };
    pj_str_t token;
    char digits[16];

    if (pjsip_method_cmp(&rdata->msg_info.msg->line.req.method, &pjsip_message_method) != 0)
        return PJ_FALSE;

    acc_id = pjsua_acc_find_for_incoming(rdata);
    place = cig_message_free_place();
    if (place == NULL || acc_id == PJSUA_INVALID_ID || pjsua_var.ua_cfg.cb.on_pager2 == NULL) {
        cig_message_refuse(rdata, PJSIP_SC_SERVICE_UNAVAILABLE);
        return PJ_TRUE;
    }
    if (pjsip_tsx_create_uas(&cig_message_module, rdata, &place->tsx) != PJ_SUCCESS) {
        cig_message_refuse(rdata, PJSIP_SC_BAD_REQUEST);
        return PJ_TRUE;
    }
    pjsip_tsx_recv_msg(place->tsx, rdata);
    if (pjsip_endpt_create_response(pjsua_var.endpt, rdata, PJSIP_SC_INTERNAL_SERVER_ERROR, NULL,
                                    &place->tdata) != PJ_SUCCESS)
    {
        place->tdata = NULL;
        pjsip_tsx_terminate(place->tsx, PJSIP_SC_INTERNAL_SERVER_ERROR);
        return PJ_TRUE;
    }
    if (++cig_message_last_token == 0)
        ++cig_message_last_token;
    place->token = cig_message_last_token;
    place->tsx->mod_data[cig_message_module.id] = place;

    token.ptr = digits;
    token.slen = pj_ansi_snprintf(digits, sizeof(digits), "%u", place->token);
    (*pjsua_var.ua_cfg.cb.on_pager2)(PJSUA_INVALID_ID, &empty, &empty, &empty, &no_type, &token,
                                     rdata, acc_id);
    return PJ_TRUE;
}


/* A transaction has ended before its answer: its connection broke, say. */
static void cig_message_on_tsx_state(pjsip_transaction *tsx, pjsip_event *event)
{
    struct cig_message *place = (struct cig_message*) tsx->mod_data[cig_message_module.id];

    PJ_UNUSED_ARG(event);
    if (place == NULL || tsx->state < PJSIP_TSX_STATE_COMPLETED)
        return;
    tsx->mod_data[cig_message_module.id] = NULL;
    pjsip_tx_data_dec_ref(place->tdata);
    pj_bzero(place, sizeof(*place));
}


/* Send the final response `code` for a token. Returns PJ_ENOTFOUND where there is none. */
pj_status_t cig_message_answer(unsigned token, int code, const pjsua_msg_data *msg_data)
{
    struct cig_message answered;
    pj_status_t status;
    unsigned i;

    for (i = 0; i < CIG_MESSAGES; ++i) {
        if (cig_messages[i].tdata != NULL && cig_messages[i].token == token)
            break;
    }
    if (i == CIG_MESSAGES)
        return PJ_ENOTFOUND;
    answered = cig_messages[i];
    pj_bzero(&cig_messages[i], sizeof(cig_messages[i]));
    answered.tsx->mod_data[cig_message_module.id] = NULL;

    answered.tdata->msg->line.status.code = code;
    answered.tdata->msg->line.status.reason = *pjsip_get_status_text(code);
    pjsua_process_msg_data(answered.tdata, msg_data);
    status = pjsip_tsx_send_msg(answered.tsx, answered.tdata);
    if (status != PJ_SUCCESS) {
        pjsip_tx_data_dec_ref(answered.tdata);
        pjsip_tsx_terminate(answered.tsx, PJSIP_SC_TSX_TRANSPORT_ERROR);
    }
    return status;
}


static void cig_message_sent(void *token, pjsip_event *event)
{
    pj_str_t empty = { "", 0 };
    pjsip_rx_data *rdata = NULL;
    pjsip_transaction *tsx;

    if (event->type != PJSIP_EVENT_TSX_STATE)
        return;
    tsx = event->body.tsx_state.tsx;
    if (tsx->status_code < 200)
        return;
    if (event->body.tsx_state.type == PJSIP_EVENT_RX_MSG)
        rdata = event->body.tsx_state.src.rdata;
    if (pjsua_var.ua_cfg.cb.on_pager_status2 != NULL) {
        (*pjsua_var.ua_cfg.cb.on_pager_status2)(PJSUA_INVALID_ID, &empty, &empty, token,
                                                (pjsip_status_code) tsx->status_code,
                                                &tsx->status_text, tsx->last_tx, rdata,
                                                pjsua_acc_get_default());
    }
}


/* Send `text`, UTF-8, to `target`; msg_data has the From URI and header fields. The final status
 * comes with `token`, once, unless an error is returned.
 */
pj_status_t cig_message_send(unsigned token, const pj_str_t *target, const pj_str_t *text,
                             const pjsua_msg_data *msg_data)
{
    pjsua_acc_id acc_id = pjsua_acc_get_default();
    pj_str_t type = { "text", 4 };
    pj_str_t subtype = { "plain", 5 };
    pjsip_tpselector selector;
    pjsip_tx_data *tdata;
    pjsip_param *charset;
    pj_status_t status;

    if (acc_id == PJSUA_INVALID_ID)
        return PJ_EINVALIDOP;
    status = pjsip_endpt_create_request(pjsua_var.endpt, &pjsip_message_method, target,
                                        &msg_data->local_uri, target, NULL, NULL, -1, NULL,
                                        &tdata);
    if (status != PJ_SUCCESS)
        return status;
    pjsua_init_tpselector(acc_id, &selector);
    pjsip_tx_data_set_transport(tdata, &selector);

    tdata->msg->body = pjsip_msg_body_create(tdata->pool, &type, &subtype, text);
    if (tdata->msg->body == NULL) {
        pjsip_tx_data_dec_ref(tdata);
        return PJ_ENOMEM;
    }
    charset = PJ_POOL_ZALLOC_T(tdata->pool, pjsip_param);
    charset->name = pj_str("charset");
    charset->value = pj_str("UTF-8");
    pj_list_push_back(&tdata->msg->body->content_type.param, charset);
    pjsua_process_msg_data(tdata, msg_data);
    return pjsip_endpt_send_request(pjsua_var.endpt, tdata, -1, (void*)(pj_size_t) token,
                                    &cig_message_sent);
}
