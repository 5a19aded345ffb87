#include <cstdio>
#include <fstream>
#include <sentencepiece_trainer.h>
#include <string>
#include <vector>

/* Sentencepiece models that this project would not make: odd_model OUT "--model_type=unigram ..." TEXT. Lines of TEXT are the sentences. */

namespace {

class Lines final : public sentencepiece::SentenceIterator {
  public:
    explicit Lines(const char *path) : in_(path) { Next(); }
    bool done() const override { return done_; }
    const std::string &value() const override { return line_; }
    sentencepiece::util::Status status() const override { return sentencepiece::util::Status(); }
    void Next() override { done_ = !std::getline(in_, line_); }

  private:
    std::ifstream in_;
    std::string line_;
    bool done_ = false;
};

} // namespace

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    Lines lines(argv[3]);
    std::string model;
    const auto status = sentencepiece::SentencePieceTrainer::Train(
        std::string("--minloglevel=3 --hard_vocab_limit=false ") + argv[2], &lines, &model);
    if (!status.ok()) {
        std::fprintf(stderr, "%s\n", status.ToString().c_str());
        return 1;
    }
    std::ofstream(argv[1], std::ios::binary) << model;
    return 0;
}
