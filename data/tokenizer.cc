#include <cctype>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <memory>
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
#include <vector>

extern "C" {
#include "core/file.h"
#include "core/file_kind.h"
#include "core/status.h"
}
#include "data/documents.h"
#include "data/hash.h"
#include "data/tokenizer.h"
#include "data/utf8.h"

namespace {

namespace sp = sentencepiece;

constexpr char kSpace[] = "\xE2\x96\x81";   /* U+2581, how sentencepiece writes a space */
constexpr char kUnknown[] = "\xE2\x96\x85"; /* U+2585, which its trainer keeps for itself */
constexpr size_t kMarkBytes = 3;
constexpr size_t kSentenceBytes = 1 << 14; /* longer lines are cut for the trainer */
constexpr int kLeastPieces = 256 + 6;
constexpr int kTrainThreads = 16; /* fixed: unigram sums depend on it */

bool is_line_end(char c) {
    return c == '\n' || c == '\r';
}

/* The words that one thread encoded last, by hash; each new word takes the place of another. */
struct WordCache {
    enum { kSlots = 1 << 15, kKey = 26, kIds = 9 };
    struct Slot {
        uint8_t key_bytes, n; /* n == 0: free */
        char key[kKey];
        int32_t ids[kIds];
    };
    uint64_t owner = 0;
    std::vector<Slot> slots;
};

thread_local WordCache cache;

uint64_t word_hash(const char *s, size_t n) {
    uint64_t h = n * AE_FNV_PRIME;
    for (; n >= 8; s += 8, n -= 8) {
        uint64_t x;
        std::memcpy(&x, s, 8);
        h = (h ^ x) * UINT64_C(0x9E3779B97F4A7C15);
        h ^= h >> 29;
    }
    uint64_t x = 0;
    std::memcpy(&x, s, n);
    h = (h ^ x) * UINT64_C(0x9E3779B97F4A7C15);
    return h ^ (h >> 32);
}

std::string one_line(std::string s) {
    for (char &c : s)
        if (is_line_end(c)) c = ' ';
    return s;
}

} // namespace

struct ae_tokenizer {
    sp::SentencePieceProcessor processor;
    std::string bytes;
    uint64_t hash = 0, serial = 0;
    bool wordwise = false, has_space = false;
    int32_t byte_id[256];
    std::vector<char> is_byte; /* by id */
};

namespace {

/* Whether a piece holds a line end beside something else, or a space behind something else. */
bool spans_words(const std::string &piece) {
    bool line_end = false, other = false, word = false;
    for (size_t i = 0; i < piece.size();) {
        if (piece.compare(i, kMarkBytes, kSpace) == 0) {
            if (word) return true;
            other = true;
            i += kMarkBytes;
            continue;
        }
        (is_line_end(piece[i]) ? line_end : other) = true;
        word = true;
        i++;
    }
    return line_end && other;
}

/* Models that rewrite text (a space in front, normal forms) see it whole. */
bool keeps_text(const sp::SentencePieceProcessor &p) {
    const std::string probe = "a  \xEF\xBC\xA1\xEF\xAC\x81 \n A ";
    std::vector<std::string> pieces;
    if (!p.Encode(probe, &pieces).ok()) return false;
    std::string joined, expected;
    for (const std::string &piece : pieces) {
        const int id = p.PieceToId(piece);
        joined += p.IsByte(id) ? std::string(1, static_cast<char>(std::stoi(piece.substr(3, 2), nullptr, 16)))
                               : piece;
    }
    for (char c : probe) expected += c == ' ' ? kSpace : std::string(1, c);
    return joined == expected;
}

bool is_wordwise(const sp::SentencePieceProcessor &p) {
    for (int id = 0; id < p.GetPieceSize(); id++) {
        const bool plain = !p.IsControl(id) && !p.IsUnknown(id) && !p.IsByte(id);
        if (plain && spans_words(p.IdToPiece(id))) return false;
    }
    return keeps_text(p);
}

void find_bytes(ae_tokenizer *t) {
    for (int id = 0; id < t->processor.GetPieceSize(); id++) t->is_byte.push_back(t->processor.IsByte(id));
    for (int b = 0; b < 256; b++) {
        char piece[8];
        std::snprintf(piece, sizeof piece, "<0x%02X>", static_cast<unsigned>(b));
        const int32_t id = ae_tokenizer_id(t, piece);
        t->byte_id[b] = id >= 0 && t->is_byte[static_cast<size_t>(id)] ? id : -1;
    }
}

uint64_t next_serial() {
    static uint64_t serial = 0;
    return __atomic_add_fetch(&serial, 1, __ATOMIC_RELAXED);
}

ae_status encode_part(const ae_tokenizer *t, const char *s, size_t n, ae_ids *out) {
    static thread_local std::vector<int> ids;
    ids.clear();
    const sp::util::Status status = t->processor.Encode(absl::string_view(s, n), &ids);
    if (!status.ok()) return AE_FAIL(AE_ERR_DEFECT, "encoding: %s", one_line(status.ToString()).c_str());
    for (const int id : ids) ae_ids_append(out, id);
    return AE_OK;
}

/* Bytes of the word at s: a run of line ends, or up to a line end or a space behind something else. */
size_t word_bytes(const char *s, size_t n) {
    size_t i = 1;
    if (is_line_end(s[0])) {
        while (i < n && is_line_end(s[i])) i++;
        return i;
    }
    while (i < n && !is_line_end(s[i]) && !(s[i] == ' ' && s[i - 1] != ' ')) i++;
    return i;
}

ae_status encode_word(const ae_tokenizer *t, const char *s, size_t n, ae_ids *out) {
    if (n > WordCache::kKey) return encode_part(t, s, n, out);
    WordCache::Slot &slot = cache.slots[word_hash(s, n) % WordCache::kSlots];
    if (slot.n && slot.key_bytes == n && std::memcmp(slot.key, s, n) == 0) {
        for (int i = 0; i < slot.n; i++) ae_ids_append(out, slot.ids[i]);
        return AE_OK;
    }
    const ptrdiff_t before = out->n;
    const ae_status st = encode_part(t, s, n, out);
    const ptrdiff_t count = out->n - before;
    if (st != AE_OK || count == 0 || count > WordCache::kIds) return st;
    slot.key_bytes = static_cast<uint8_t>(n);
    slot.n = static_cast<uint8_t>(count);
    std::memcpy(slot.key, s, n);
    std::memcpy(slot.ids, out->ids + before, static_cast<size_t>(count) * sizeof *slot.ids);
    return AE_OK;
}

/* Text without U+2581. */
ae_status encode_plain(const ae_tokenizer *t, const char *s, size_t n, ae_ids *out) {
    if (!t->wordwise) return n ? encode_part(t, s, n, out) : AE_OK;
    if (cache.owner != t->serial) {
        cache.slots.assign(WordCache::kSlots, WordCache::Slot());
        cache.owner = t->serial;
    }
    ae_status st = AE_OK;
    for (size_t at = 0; at < n && st == AE_OK;) {
        const size_t length = word_bytes(s + at, n - at);
        st = encode_word(t, s + at, length, out);
        at += length;
    }
    return st;
}

/* The first thing in the text that sentencepiece would not give back: U+2581, which comes back as a space, and a space where the
 * model has no piece for one, which comes back as U+2581. */
const char *find_unsafe(const ae_tokenizer *t, const char *s, size_t n) {
    const char *mark = static_cast<const char *>(memmem(s, n, kSpace, kMarkBytes));
    const size_t before = mark ? static_cast<size_t>(mark - s) : n;
    const char *space = t->has_space ? nullptr : static_cast<const char *>(memchr(s, ' ', before));
    return space ? space : mark;
}

/* What is not safe is written in bytes. */
ae_status encode_text(const ae_tokenizer *t, const char *s, size_t n, ae_ids *out) {
    ae_status st = AE_OK;
    const char *mark = nullptr;
    while (st == AE_OK && t->byte_id[0] >= 0 && (mark = find_unsafe(t, s, n)) != nullptr) {
        const size_t before = static_cast<size_t>(mark - s), length = *mark == ' ' ? 1 : kMarkBytes;
        st = encode_plain(t, s, before, out);
        for (size_t i = 0; i < length; i++) ae_ids_append(out, t->byte_id[static_cast<uint8_t>(mark[i])]);
        s = mark + length;
        n -= before + length;
    }
    return st == AE_OK ? encode_plain(t, s, n, out) : st;
}

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

/* Lines and runs of line ends in turn, so that no piece joins the two. What the trainer would take for marks of its own is left
 * out, and control tokens spelt out (WikiText is full of "<unk>") are cut behind the "<", since it would leave them out. */
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

/* A line end and the digits have pieces of their own where the text has them (the trainer dies over those it has not). */
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

/* Until the child has closed its end; a signal may end it and the waiting. It may come when nobody waits, so the wait is never long. */
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

/* What the trainer says of a vocabulary that cannot hold bytes, control tokens and the characters it must: "279 vs 288". */
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

/* What the library says of a model that it does not take, without the place in its own source. */
std::string reason_of(const sp::util::Status &status) {
    std::string s = one_line(status.ToString());
    if (s.compare(0, 10, "Internal: ") == 0) s = s.substr(10);
    const size_t place = s.find(") [");
    if (place != std::string::npos) s = s.substr(place + 2);
    return s;
}

ae_status load(ae_tokenizer *t, const char *where) {
    const ae_file_kind *kind = ae_bytes_kind(t->bytes.data(), t->bytes.size());
    if (kind)
        return AE_FAIL(AE_ERR_INPUT, "%s: expected a sentencepiece model, found %s; %s", where, kind->name,
                       kind->hint);
    if (t->bytes.empty())
        return AE_FAIL(AE_ERR_INPUT, "%s: expected a sentencepiece model, found an empty file", where);
    const sp::util::Status status = t->processor.LoadFromSerializedProto(t->bytes);
    if (!status.ok())
        return AE_FAIL(AE_ERR_INPUT,
                       "%s: expected a sentencepiece model, found something else or a part of one (the "
                       "library says: %s)",
                       where, reason_of(status).c_str());
    if (t->processor.GetPieceSize() < 1)
        return AE_FAIL(AE_ERR_INPUT, "%s: expected a sentencepiece model, found one without pieces", where);
    return AE_OK;
}

} // namespace

extern "C" {

void ae_tokenizer_delete(ae_tokenizer *t) {
    delete t;
}

ae_status ae_tokenizer_from_bytes(ae_tokenizer **tokenizer, const void *bytes, size_t n, const char *where) {
    *tokenizer = nullptr;
    try {
        std::unique_ptr<ae_tokenizer> t(new ae_tokenizer);
        t->bytes.assign(static_cast<const char *>(bytes), n);
        const ae_status st = load(t.get(), where);
        if (st != AE_OK) return st;
        t->hash = ae_fnv(AE_FNV_START, bytes, n);
        t->serial = next_serial();
        t->wordwise = is_wordwise(t->processor);
        t->has_space = ae_tokenizer_id(t.get(), kSpace) >= 0;
        find_bytes(t.get());
        *tokenizer = t.release();
    } catch (const std::bad_alloc &) {
        return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", where);
    }
    return AE_OK;
}

ae_status ae_tokenizer_open(ae_tokenizer **t, const char *path) {
    char *bytes = nullptr;
    size_t n = 0;
    *t = nullptr;
    ae_status st = ae_file_read(path, &bytes, &n);
    if (st == AE_OK) st = ae_tokenizer_from_bytes(t, bytes, n, path);
    std::free(bytes);
    return st;
}

int32_t ae_tokenizer_size(const ae_tokenizer *t) {
    return t->processor.GetPieceSize();
}

uint64_t ae_tokenizer_hash(const ae_tokenizer *t) {
    return t->hash;
}

const void *ae_tokenizer_bytes(const ae_tokenizer *t, size_t *n) {
    *n = t->bytes.size();
    return t->bytes.data();
}

int32_t ae_tokenizer_id(const ae_tokenizer *t, const char *piece) {
    const int id = t->processor.PieceToId(piece);
    return t->processor.IdToPiece(id) == piece ? id : -1;
}

const char *ae_tokenizer_piece(const ae_tokenizer *t, int32_t id) {
    return t->processor.IdToPiece(id).c_str();
}

bool ae_tokenizer_is_control(const ae_tokenizer *t, int32_t id) {
    return t->processor.IsControl(id);
}

bool ae_tokenizer_is_byte(const ae_tokenizer *t, int32_t id) {
    return t->is_byte[static_cast<size_t>(id)] != 0;
}

bool ae_tokenizer_is_wordwise(const ae_tokenizer *t) {
    return t->wordwise;
}

ae_special_ids ae_tokenizer_special(const ae_tokenizer *t) {
    ae_special_ids s;
    s.pad = t->processor.pad_id();
    s.eos = t->processor.eos_id();
    s.bos = t->processor.bos_id();
    s.unk = t->processor.unk_id();
    s.start_of_turn = ae_tokenizer_id(t, "<start_of_turn>");
    s.end_of_turn = ae_tokenizer_id(t, "<end_of_turn>");
    return s;
}

ae_status ae_tokenizer_encode(const ae_tokenizer *t, const char *text, size_t n, ae_ids *out) {
    const size_t valid = ae_utf8_prefix(text, n);
    if (valid < n)
        return AE_FAIL(AE_ERR_INPUT, "text: expected UTF-8, found byte 0x%02X at offset %zu",
                       static_cast<unsigned>(static_cast<unsigned char>(text[valid])), valid);
    try {
        return encode_text(t, text, n, out);
    } catch (const std::bad_alloc &) {
        return AE_FAIL(AE_ERR_RESOURCE, "encoding: out of memory for %zu bytes of text", n);
    }
}

ae_status ae_tokenizer_lost_bytes(const ae_tokenizer *t, const char *text, size_t n, int64_t *lost) {
    *lost = 0;
    try {
        std::vector<std::string> pieces;
        const sp::util::Status status = t->processor.Encode(absl::string_view(text, n), &pieces);
        if (!status.ok()) return AE_FAIL(AE_ERR_DEFECT, "encoding: %s", one_line(status.ToString()).c_str());
        for (const std::string &piece : pieces)
            if (t->processor.IsUnknown(t->processor.PieceToId(piece)))
                *lost += static_cast<int64_t>(piece.size());
    } catch (const std::bad_alloc &) {
        return AE_FAIL(AE_ERR_RESOURCE, "encoding: out of memory for %zu bytes of text", n);
    }
    return AE_OK;
}

void ae_ids_append(ae_ids *a, int32_t id) {
    if (a->n == a->capacity) {
        const ptrdiff_t capacity = 2 * a->capacity + 64;
        void *grown = std::realloc(a->ids, static_cast<size_t>(capacity) * sizeof *a->ids);
        if (!grown) std::abort();
        a->ids = static_cast<int32_t *>(grown);
        a->capacity = capacity;
    }
    a->ids[a->n++] = id;
}

void ae_ids_free(ae_ids *a) {
    std::free(a->ids);
    *a = ae_ids();
}

ae_status ae_tokenizer_decode(const ae_tokenizer *t, const int32_t *ids, ptrdiff_t n, char **text,
                              size_t *n_bytes) {
    *text = nullptr;
    *n_bytes = 0;
    for (ptrdiff_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= ae_tokenizer_size(t))
            return AE_FAIL(AE_ERR_INPUT, "token %td: expected an id below %d, found %d", i,
                           ae_tokenizer_size(t), ids[i]);
    try {
        std::string s;
        const sp::util::Status status = t->processor.Decode(std::vector<int>(ids, ids + n), &s);
        if (!status.ok()) return AE_FAIL(AE_ERR_DEFECT, "decoding: %s", one_line(status.ToString()).c_str());
        *text = static_cast<char *>(std::malloc(s.size() + 1));
        if (!*text) throw std::bad_alloc();
        std::memcpy(*text, s.c_str(), s.size() + 1);
        *n_bytes = s.size();
    } catch (const std::bad_alloc &) {
        return AE_FAIL(AE_ERR_RESOURCE, "decoding: out of memory for %td tokens", n);
    }
    return AE_OK;
}

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
