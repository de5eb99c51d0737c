/* Talking to an ssh-agent over its socket: one request, one answer, waiting. */
#pragma once

#include "proto/agent/agent.h"

/* Sends the frame in request and reads one answer's body into ret_body. ERR_PEER_CLOSED, ERR_LIMIT, ERR_SYS. */
int agent_io_call(int sock, struct view request, struct buf *ret_body) MUST_USE;
