#ifndef AE_DATA_SENTENCEPIECE_H
#define AE_DATA_SENTENCEPIECE_H
/* What the two C++ files over the sentencepiece library share. */
#include <cstddef>
#include <string>

namespace sentencepiece {}
namespace sp = sentencepiece;

constexpr char kSpace[] = "\xE2\x96\x81"; /* U+2581, how the library writes a space */
constexpr size_t kMarkBytes = 3;

inline bool is_line_end(char c) {
    return c == '\n' || c == '\r';
}

/* A message of the library. */
inline std::string one_line(std::string s) {
    for (char &c : s)
        if (is_line_end(c)) c = ' ';
    return s;
}

#endif
