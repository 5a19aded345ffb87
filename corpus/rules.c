#include "corpus/plots.h"

/* clang-format off */
const ae_rule ae_rules[] = {
    {"begin", "{opening} {trait.was} {scene}"},
    {"opening", "[Once upon a time,|Once upon a time|Long ago,|In a small village|Not far from here] there "
                "[was|lived] @{a.kind} named {a}."},
    {"trait.was", "[{a} was very {trait} and {trait.does}.|^{a.he} was very {trait} and {trait.does}.|"
                  "Everyone knew that {a} was {trait}. ^{a.he} {trait.does}.]"},
    {"scene", "[One {weather} {time},|One {time}, on a {weather} day,|It was a {weather} {time}, and] "
              "{a} [put on {a.his} {wear} and went to {place}.|walked to {place} in {a.his} {wear}.|"
              "wanted to go to {place}. ^{a.he} took {a.his} {wear}.] {sky}"},
    {"friend", "[{a} had a good friend named {b}.|{a.his.big} best friend was @{b.kind} named {b}.|"
               "Next door lived @{b.kind} named {b}.]"},
    {"a.his.big", "^{a.his}"},
    {"meet", "[Then {b} came by. {b} was @{b.kind}.|Just then, @{b.kind} named {b} came along.|"
             "{a.his.big} friend {b} was there too. {b} was @{b.kind}.]"},
    {"end", "\n[{sky.end}|It was time for {next}. {sky.end}|{sky.end} {a} and {b} went home.] "
            "[That {time}, {a} learned something:|{a} never forgot that day:|{a.his.big} {elder} always said:|"
            "And so {a} knew:] {moral}[| The end.]"},
    {"asked", "[asked|said]"},
    {"cried", "[cried|said|called]"},
    {"happy", "[happy|glad|very happy|full of joy]"},
    {"sad", "[sad|very sad|unhappy]"},
    {"smiled", "[smiled|laughed|clapped {a.his} hands|jumped up and down]"},
    {"thanks", "[\"Thank you, {b}!\" said {a}.|\"Thank you! You are a good friend,\" {a} told {b}.|"
               "{a} hugged {b}. \"Thank you,\" {a.he} said.]"},
    {"elder.says", "[{a.his.big} {elder} smiled and said,|{elder.name} looked at {a} and said,|"
                   "\"{a}, come here,\" said {elder.name}. ^{elder.he} sat down and said,]"},
    {"gift", "[It was a gift from {a.his} {elder}.|{a.his.big} {elder} had made it for {a.him}.|"
             "^{a.he} had found it at the market.]"},
    {"again", "[\"Try again,\" said {elder.name}.|\"Do not give up,\" said {elder.name}.|"
              "\"Everything is hard before it is easy,\" said {elder.name}.]"},
    {0},
};
/* clang-format on */
