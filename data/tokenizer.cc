#include "data/sentencepiece.h"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <sentencepiece_processor.h>
#include <string>
#include <vector>

extern "C" {
#include "core/file.h"
#include "core/file_kind.h"
#include "core/status.h"
}
#include "data/hash.h"
#include "data/tokenizer.h"
#include "data/utf8.h"

namespace {

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

} // namespace

struct ae_tokenizer {
    sp::SentencePieceProcessor processor;
    std::string bytes;
    uint64_t hash = 0, serial = 0;
    bool wordwise = false, has_space = false;
    int32_t byte_id[256];
    std::vector<char> is_byte; /* by id */
    ae_special_ids special;
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

void find_special(ae_tokenizer *t) {
    t->special.pad = t->processor.pad_id();
    t->special.eos = t->processor.eos_id();
    t->special.bos = t->processor.bos_id();
    t->special.unk = t->processor.unk_id();
    t->special.start_of_turn = ae_tokenizer_id(t, "<start_of_turn>");
    t->special.end_of_turn = ae_tokenizer_id(t, "<end_of_turn>");
}

uint64_t next_serial() {
    static uint64_t serial = 0;
    return __atomic_add_fetch(&serial, 1, __ATOMIC_RELAXED);
}

void append(ae_ids *out, int32_t id) {
    if (ae_ids_append(out, id) != AE_OK) throw std::bad_alloc();
}

ae_status encode_part(const ae_tokenizer *t, const char *s, size_t n, ae_ids *out) {
    static thread_local std::vector<int> ids;
    ids.clear();
    const sp::util::Status status = t->processor.Encode(absl::string_view(s, n), &ids);
    if (!status.ok()) return AE_FAIL(AE_ERR_DEFECT, "encoding: %s", one_line(status.ToString()).c_str());
    if (ae_ids_extend(out, ids.data(), static_cast<ptrdiff_t>(ids.size())) != AE_OK) throw std::bad_alloc();
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
        return ae_ids_extend(out, slot.ids, slot.n);
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

/* The first thing in the text that sentencepiece would not give back: U+2581, which comes back as a space,
 * and a space where the model has no piece for one, which comes back as U+2581. */
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
        for (size_t i = 0; i < length; i++) append(out, t->byte_id[static_cast<uint8_t>(mark[i])]);
        s = mark + length;
        n -= before + length;
    }
    return st == AE_OK ? encode_plain(t, s, n, out) : st;
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
        find_special(t.get());
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

bool ae_tokenizer_is(const ae_tokenizer *t, const void *bytes, size_t n) {
    return t->bytes.size() == n && std::memcmp(t->bytes.data(), bytes, n) == 0;
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

int64_t ae_tokenizer_token_bytes(const ae_tokenizer *t, int32_t id) {
    if (ae_tokenizer_is_control(t, id) || id == t->special.start_of_turn || id == t->special.end_of_turn)
        return 0;
    if (ae_tokenizer_is_byte(t, id)) return 1;
    const std::string &piece = t->processor.IdToPiece(id);
    size_t n = piece.size();
    for (size_t at = 0; (at = piece.find(kSpace, at)) != std::string::npos; at += kMarkBytes)
        n -= kMarkBytes - 1;
    return static_cast<int64_t>(n);
}

bool ae_tokenizer_is_wordwise(const ae_tokenizer *t) {
    return t->wordwise;
}

ae_special_ids ae_tokenizer_special(const ae_tokenizer *t) {
    return t->special;
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
}
