#include "judge/gate.h"

#include <criterion/criterion.h>

static const char token[AE_TOKEN_BYTES] = "0123456789abcdef0123456789abcdef";

Test(gate, the_token) {
    cr_assert_str_eq(ae_gate_path("/0123456789abcdef0123456789abcdef/next", token), "next");
    cr_assert_str_eq(ae_gate_path("/0123456789abcdef0123456789abcdef/", token), "");
    const char *const wrong[] = {"/",
                                 "",
                                 "/next",
                                 "/0123456789abcdef0123456789abcdee/next",
                                 "/1123456789abcdef0123456789abcdef/next",
                                 "/0123456789abcdef0123456789abcdef",
                                 "/0123456789abcdef0123456789abcdefnext",
                                 "/0123456789abcdef/0123456789abcdef/next",
                                 "//123456789abcdef0123456789abcdef/next"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_assert_null(ae_gate_path(wrong[i], token), "%s", wrong[i]);
}

Test(gate, host) {
    const char *const names[] = {"study.example", "tunnel.example:9000"};
    const ae_gate loopback = {"127.0.0.1", 8765, NULL, 0}, v6 = {"::1", 8765, NULL, 0};
    const ae_gate open = {"192.168.1.7", 80, names, 2};
    cr_assert(ae_gate_host(&loopback, "127.0.0.1:8765") && ae_gate_host(&loopback, "LocalHost:8765"));
    cr_assert(ae_gate_host(&v6, "[::1]:8765") && ae_gate_host(&v6, "localhost:8765"));
    cr_assert(ae_gate_host(&open, "192.168.1.7") && ae_gate_host(&open, "192.168.1.7:80"));
    cr_assert(ae_gate_host(&open, "study.example") && ae_gate_host(&open, "tunnel.example:9000"));
    const char *const wrong[] = {"",
                                 "evil.example",
                                 "evil.example:8765",
                                 "127.0.0.1",
                                 "127.0.0.1:8766",
                                 "127.0.0.1:8765.evil.example",
                                 "127.0.0.2:8765",
                                 "localhost",
                                 "localhost.:8765",
                                 "::1:8765"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_assert(!ae_gate_host(&loopback, wrong[i]), "%s", wrong[i]);
    cr_assert(!ae_gate_host(&loopback, NULL));
    cr_assert(!ae_gate_host(&open, "localhost") && !ae_gate_host(&open, "tunnel.example:9001"));
}

Test(gate, origin_and_site) {
    cr_assert(ae_gate_origin("http://127.0.0.1:8765", "127.0.0.1:8765"));
    cr_assert(ae_gate_origin("https://study.example", "study.example"));
    const char *const wrong[] = {"null",
                                 "",
                                 "http://127.0.0.1:8766",
                                 "http://evil.example",
                                 "127.0.0.1:8765",
                                 "http://127.0.0.1:8765.evil.example",
                                 "ftp://127.0.0.1:8765"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_assert(!ae_gate_origin(wrong[i], "127.0.0.1:8765"), "%s", wrong[i]);
    cr_assert(!ae_gate_origin(NULL, "127.0.0.1:8765") && !ae_gate_origin("http://a", NULL));
    cr_assert(ae_gate_site(NULL) && ae_gate_site("same-origin") && ae_gate_site("none"));
    cr_assert(!ae_gate_site("cross-site") && !ae_gate_site("same-site"));
}
