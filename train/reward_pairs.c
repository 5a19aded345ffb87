#include "core/logistic.h"
#include "train/reward.h"
#include "train/step.h"

#include <math.h>
#include <string.h>

ae_pair_loss ae_reward_pair_loss(double chosen, double rejected, double margin, double center) {
    const double d = chosen - rejected - margin, sum = chosen + rejected, s = ae_sigmoid(-d);
    return (ae_pair_loss){.loss = ae_softplus(-d) + center * sum * sum,
                          .dchosen = -s + 2 * center * sum,
                          .drejected = s + 2 * center * sum};
}

ae_pair_judged ae_reward_judge_pair(const ae_reward_keys *keys, const ae_pair_place *p, const float *values,
                                    ptrdiff_t at, ae_reward_sums *s) {
    const double chosen = (double)values[p->chosen_end - 1 - at];
    const double rejected = (double)values[p->rejected_end - 1 - at];
    const double margin = keys->margin ? (double)p->margin : 0;
    const ae_pair_judged j = {chosen, rejected, ae_reward_pair_loss(chosen, rejected, margin, keys->center)};
    s->loss += j.loss.loss;
    s->right += chosen > rejected ? 1 : chosen == rejected ? 0.5 : 0;
    s->margin += chosen - rejected;
    s->reward += 0.5 * (chosen + rejected);
    s->square += 0.5 * (chosen * chosen + rejected * rejected);
    s->pairs++;
    return j;
}

double ae_reward_std(const ae_reward_sums *s) {
    const double n = (double)s->pairs, mean = s->reward / n;
    return sqrt(fmax(0, s->square / n - mean * mean));
}

ae_reward_sums ae_reward_gradients(const ae_reward_keys *keys, ae_model *m, ae_pass *pass,
                                   const ae_pair_batch *b, ptrdiff_t micro_rows, float *room) {
    ae_reward_sums s = {0};
    const ae_param *head = ae_params_find(&m->params, "score.weight");
    float *values = room, *dvalues = room + micro_rows * b->batch.T;
    ptrdiff_t next = 0;
    ae_micro_batches micro = ae_micro_batches_of(&b->batch, micro_rows, NULL);
    while (ae_micro_batches_next(&micro)) {
        const ptrdiff_t places = micro.batch.B * micro.batch.T;
        ae_pass_forward(pass, m, &micro.batch);
        ae_pass_values(pass, head->value, values);
        memset(dvalues, 0, (size_t)places * sizeof *dvalues);
        for (; next < b->n_pairs && b->pairs[next].chosen_begin < micro.at + places; next++) {
            const ae_pair_place *p = &b->pairs[next];
            const ae_pair_judged j = ae_reward_judge_pair(keys, p, values, micro.at, &s);
            dvalues[p->chosen_end - 1 - micro.at] = (float)(j.loss.dchosen / (double)b->n_pairs);
            dvalues[p->rejected_end - 1 - micro.at] = (float)(j.loss.drejected / (double)b->n_pairs);
        }
        ae_pass_add_values(pass, head->value, head->grad, dvalues);
        ae_pass_backward(pass);
    }
    return s;
}
