#include "data/sentencepiece.h"

#include <cctype>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <new>
#include <poll.h>
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <unordered_map>

extern "C" {
#include "core/file.h"
#include "core/status.h"
}
#include "data/documents.h"
#include "data/tokenizer.h"
#include "data/utf8.h"

namespace {

constexpr char kUnknown[] = "\xE2\x96\x85"; /* U+2585, which the trainer keeps for itself */
constexpr size_t kSentenceBytes = 1 << 14;  /* longer lines are cut for the trainer */
constexpr int kLeastPieces = 256 + 6;
constexpr int kTrainThreads = 16; /* fixed: unigram sums depend on it */

/* Whether a control token or byte piece is spelt out at s. */
bool is_control_text(const char *s, size_t n) {
    static const char *const kNames[] = {"<pad>", "<eos>",           "<bos>",
                                         "<unk>", "<start_of_turn>", "<end_of_turn>"};
    if (s[0] != '<') return false;
    for (const char *name : kNames) {
        const size_t length = std::strlen(name);
        if (n >= length && std::memcmp(s, name, length) == 0) return true;
    }
    return n >= 6 && std::memcmp(s, "<0x", 3) == 0 && std::isxdigit(s[3]) && std::isxdigit(s[4]) &&
           s[5] == '>';
}

/* Lines and runs of line ends in turn, so that no piece joins the two. What the trainer would take for marks
 * of its own is left out, and control tokens spelt out (WikiText is full of "<unk>") are cut behind the "<",
 * since it would leave them out. */
class Sentences final : public sp::SentenceIterator {
  public:
    Sentences(const char *text, size_t n) : s_(text), rest_(n) { Next(); }
    bool done() const override { return done_; }
    const std::string &value() const override { return value_; }
    sp::util::Status status() const override { return sp::util::Status(); }
    void Next() override {
        while (rest_ && parting()) skip(parting());
        done_ = rest_ == 0;
        if (done_) return;
        size_t n = 1;
        const bool lines = is_line_end(s_[0]);
        while (n <= kSentenceBytes && n < rest_ && is_line_end(s_[n]) == lines && !parting(n) &&
               !is_control_text(s_ + n - 1, rest_ - n + 1))
            n++;
        if (n > kSentenceBytes) n = ae_text_edge(s_, kSentenceBytes);
        value_.assign(s_, n);
        skip(n);
    }

  private:
    size_t parting(size_t at = 0) const {
        const char *s = s_ + at;
        const size_t n = rest_ - at;
        if (s[0] == '\0') return 1;
        if (s[0] != kSpace[0] || n < kMarkBytes) return 0;
        return !std::memcmp(s, kSpace, kMarkBytes) || !std::memcmp(s, kUnknown, kMarkBytes) ? kMarkBytes : 0;
    }
    void skip(size_t n) {
        s_ += n;
        rest_ -= n;
    }
    const char *s_;
    size_t rest_;
    std::string value_;
    bool done_ = false;
};

using Options = std::unordered_map<std::string, std::string>;

/* A line end and the digits have pieces of their own where the text has them (the trainer dies over those it
 * has not). */
std::string required_chars(const char *text, size_t n) {
    bool seen[256] = {false};
    for (Sentences s(text, n); !s.done(); s.Next())
        for (const char c : s.value()) seen[static_cast<unsigned char>(c)] = true;
    std::string found;
    for (const char *c = "\n0123456789"; *c; c++)
        if (seen[static_cast<unsigned char>(*c)]) found += *c;
    return found;
}

Options training_options(const ae_tokenizer_training *a, const char *text, size_t n) {
    Options o = {{"model_type", a->kind},
                 {"vocab_size", std::to_string(a->vocab_size)},
                 {"pad_id", "0"},
                 {"eos_id", "1"},
                 {"bos_id", "2"},
                 {"unk_id", "3"},
                 {"pad_piece", "<pad>"},
                 {"eos_piece", "<eos>"},
                 {"bos_piece", "<bos>"},
                 {"unk_piece", "<unk>"},
                 {"control_symbols", "<start_of_turn>,<end_of_turn>"},
                 {"required_chars", required_chars(text, n)},
                 {"split_digits", "true"},
                 {"byte_fallback", "true"},
                 {"normalization_rule_name", "identity"},
                 {"add_dummy_prefix", "false"},
                 {"remove_extra_whitespaces", "false"},
                 {"allow_whitespace_only_pieces", "true"},
                 {"character_coverage", "0.9995"},
                 {"max_sentence_length", std::to_string(2 * kSentenceBytes)},
                 {"num_threads", std::to_string(kTrainThreads)},
                 {"minloglevel", "3"}};
    if (memchr(text, '\t', n)) o["user_defined_symbols"] = "\t"; /* the trainer takes tabs for boundaries */
    return o;
}

struct Trained {
    std::string model; /* empty: failed */
    std::string why;
};

/* 'M' and the model, 'E' and why there is none, or 'R' and what the machine lacks. */
std::string train(const Options &options, const char *text, size_t n) {
    try {
        Sentences sentences(text, n);
        std::string model;
        const sp::util::Status status = sp::SentencePieceTrainer::Train(options, &sentences, &model);
        return status.ok() ? "M" + model : "E" + one_line(status.ToString());
    } catch (const std::bad_alloc &) {
        return "Rout of memory; use a smaller sample than " + std::to_string(n) + " bytes";
    } catch (const std::system_error &e) {
        return "R" + std::to_string(kTrainThreads) + " threads do not start: " + one_line(e.what()) +
               "; raise the limit (ulimit -u, ulimit -v)";
    }
}

/* In the child: sends what came of it, and ends. */
[[noreturn]] void train_and_send(const Options &options, const char *text, size_t n, int to) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(nowhere, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
    const std::string answer = train(options, text, n);
    for (size_t at = 0; at < answer.size();) {
        const ssize_t sent = write(to, answer.data() + at, answer.size() - at);
        if (sent <= 0) _exit(1);
        at += static_cast<size_t>(sent);
    }
    _exit(0);
}

/* Until the child has closed its end; a signal may end it and the waiting. It may come when nobody waits, so
 * the wait is never long. */
ae_status receive_all(int from, pid_t child, ae_status (*check)(void), std::string *answer) {
    constexpr int kWaitMs = 200;
    char part[1 << 14];
    for (;;) {
        struct pollfd end = {from, POLLIN, 0};
        const bool ready = poll(&end, 1, kWaitMs) > 0;
        const ae_status st = check ? check() : AE_OK;
        if (st != AE_OK) {
            kill(child, SIGKILL);
            return st;
        }
        const ssize_t got = ready ? read(from, part, sizeof part) : 0;
        if (got > 0) answer->append(part, static_cast<size_t>(got));
        if (ready && (got == 0 || (got < 0 && errno != EINTR))) return AE_OK;
    }
}

/* In a process of its own, since the trainer ends its process over texts that it did not expect. */
ae_status train_apart(const Options &options, const char *text, size_t n, ae_status (*check)(void),
                      Trained *out) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return AE_FAIL(AE_ERR_RESOURCE, "tokenizer training: no pipe: %s", std::strerror(errno));
    const pid_t child = fork();
    if (child == 0) train_and_send(options, text, n, ends[1]);
    close(ends[1]);
    std::string answer;
    const ae_status st = child > 0 ? receive_all(ends[0], child, check, &answer) : AE_OK;
    close(ends[0]);
    if (child < 0)
        return AE_FAIL(AE_ERR_RESOURCE, "tokenizer training: no process: %s", std::strerror(errno));
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    if (st != AE_OK) return st;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return AE_FAIL(
            AE_ERR_RESOURCE,
            "tokenizer training: killed, most likely for lack of memory; use a smaller sample than %zu bytes",
            n);
    const bool done = WIFEXITED(status) && WEXITSTATUS(status) == 0 && !answer.empty();
    if (done && answer[0] == 'R')
        return AE_FAIL(AE_ERR_RESOURCE, "tokenizer training: %s", answer.c_str() + 1);
    if (done) (answer[0] == 'M' ? out->model : out->why) = answer.substr(1);
    if (!done) out->why = "the trainer broke off";
    return AE_OK;
}

/* What the trainer says of a vocabulary that cannot hold bytes, control tokens and the characters it must:
 * "279 vs 288". */
int least_size(const std::string &why) {
    const size_t at = why.find("smaller than required_chars");
    const size_t vs = at == std::string::npos ? at : why.find(" vs ", at);
    return vs == std::string::npos ? 0 : static_cast<int>(std::strtol(why.c_str() + vs + 4, nullptr, 10));
}

/* Pieces that this text gives when as many may be had as there are; 0 when that cannot be found out. */
ae_status most_pieces(const ae_tokenizer_training *a, Options options, const char *text, size_t n,
                      int *most) {
    Trained t;
    sp::SentencePieceProcessor p;
    options["hard_vocab_limit"] = "false";
    const ae_status st = train_apart(options, text, n, a->check, &t);
    *most = st == AE_OK && p.LoadFromSerializedProto(t.model).ok() ? p.GetPieceSize() : 0;
    return st;
}

ae_status training_failed(const ae_tokenizer_training *a, const Options &options, const char *text, size_t n,
                          const std::string &why) {
    const int least = least_size(why);
    int most = 0;
    const ae_status st = least ? AE_OK : most_pieces(a, options, text, n, &most);
    if (st != AE_OK) return st;
    if (least)
        return AE_FAIL(AE_ERR_USAGE,
                       "vocabulary size: expected at least %d (bytes, control tokens, characters), found %d",
                       least, a->vocab_size);
    if (most && most < a->vocab_size)
        return AE_FAIL(
            AE_ERR_USAGE,
            "vocabulary size: expected at most %d, all that %zu bytes of text give, found %d; give more text",
            most, n, a->vocab_size);
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: expected text that a %s tokenizer of %d pieces can be trained on, found other (%s)",
                   a->inputs[0], a->kind, a->vocab_size, why.c_str());
}

ae_status train_on(const ae_tokenizer_training *a, const char *text, size_t n) {
    if (Sentences(text, n).done())
        return AE_FAIL(AE_ERR_INPUT, "%s: expected text to train on, found none", a->inputs[0]);
    const Options options = training_options(a, text, n);
    Trained t;
    ae_status st = train_apart(options, text, n, a->check, &t);
    if (st != AE_OK) return st;
    if (t.model.empty()) return training_failed(a, options, text, n, t.why);
    st = ae_parent_make(a->output);
    return st == AE_OK ? ae_file_write(a->output, t.model.data(), t.model.size()) : st;
}

} // namespace

extern "C" {

ae_status ae_tokenizer_train(const ae_tokenizer_training *a) {
    if (std::strcmp(a->kind, "bpe") != 0 && std::strcmp(a->kind, "unigram") != 0)
        return AE_FAIL(AE_ERR_USAGE, "kind: expected bpe or unigram, found '%s'", a->kind);
    if (a->vocab_size <= kLeastPieces)
        return AE_FAIL(AE_ERR_USAGE,
                       "vocabulary size: expected more than %d (bytes and control tokens), found %d",
                       kLeastPieces, a->vocab_size);
    const ae_documents_options input = {a->inputs, a->n_inputs, a->text_key, nullptr,
                                        a->check,  a->format,   a->skip_bad, a->bad};
    char *text = nullptr;
    size_t n = 0;
    ae_status st = ae_documents_sample(&input, a->sample_bytes, a->seed, &text, &n);
    try {
        if (st == AE_OK) st = train_on(a, text, n);
    } catch (const std::bad_alloc &) {
        st = AE_FAIL(AE_ERR_RESOURCE,
                     "tokenizer training: out of memory; use a smaller sample than %zu bytes", n);
    }
    std::free(text);
    return st;
}
}
