#ifndef AE_RLHF_PROGRAM_REWARD_H
#define AE_RLHF_PROGRAM_REWARD_H
#include "rlhf/reward_kind.h"

/* Rewards by a program of the user's: {kind: program, command, folder, workers, timeout_s, on_error}.
 *
 * `workers` copies of it run from the start of the run to its end. `command` is a list of the program and its
 * arguments, or a text for /bin/sh -c; `folder` is where it works, by default where the run does. Answer k of a call goes to worker k mod workers. A worker reads lines
 *
 *   {"id": N, "prompt": TEXT, "answer": TEXT, "truncated": true|false, "meta": JSON or null}
 *
 * and writes a line {"id": N, "reward": x} for each, in any order; other keys are passed over. Ids are of one
 * answer of the run each. The prompt is what the user wrote last (ae_rewarded_text), the answer has no control
 * tokens; in both U+FFFD stands for NUL. Without a tokenizer both are null, and "prompt_tokens" and
 * "answer_tokens" hold the ids. The program has to flush its output after each answer: lines that stay in its
 * buffer are missing.
 *
 * What can go wrong: a line that is no such object; an id that no answer of the worker waits for; a reward that
 * is missing, null or no finite number; the end of the output while answers wait; no line for timeout_s seconds
 * while answers wait, counted from the call or the line before. on_error: stop (the default) ends the call with
 * AE_ERR_INPUT, which names the program, its line, what was expected and the last line that it wrote to standard
 * error. on_error: skip leaves these answers without a reward and warns once a call; a worker that ended or was
 * silent too long leaves all out that wait for it, and another one starts with the next call. A program that cannot
 * be started at all is AE_ERR_INPUT either way, where a list names it as soon as the source is opened.
 *
 * What a worker writes to standard error goes to the log, with the source before it. At the end its input is
 * closed; a second later it is killed with its children. */

#endif
