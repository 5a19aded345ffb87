#include "corpus/plots.h"

/* clang-format off */
const ae_plot ae_plots[] = {
    {"lost and found", {
        "{a} had @{thing}. {gift} ^{a.he} loved to {use} [every day|all day long|more than anything]. That {time}, {a.he} took the {thing} along and {used}.",
        "Then {a} saw {see} and [stopped to look|forgot everything else]. But when {a.he} wanted to {use} again, the {noun} was gone! \"[Oh no!|Oh dear!] Where is my {thing}?\" {cried} {a}. ^{a.he} was {sad}.",
        "{trait.act} ^{a.he} looked {wrong1}, but [it was not there|the {noun} was not there]. {meet} \"Why are you so sad, {a}?\" {asked} {b}. \"I lost my {thing},\" said {a}. \"I will help you look for it,\" said {b}.",
        "They looked {wrong2}, but they [found nothing|saw only a spider]. Then {b} looked {hide}. \"{a}, is your {noun} {colour}?\" called {b}. \"Yes, it is {colour}!\" said {a}. \"Then here it is!\" said {b}. The {thing} had been {hide} all the time.",
        "{a} was {happy} to have {a.his} {thing} again. {thanks} Then {a} let {b} have a turn, and {b} {used} too."},
     "[Two look better than one.|A friend who helps you is worth more than any {noun}.]"},

    {"sharing food", {
        "{friend} {a} had {have} in a basket. {elder.name} had given them to {a.him}. {a} counted them: \"{aloud}\"",
        "[At {place}|Near {place}], {a} met {b}. {b} had nothing to eat, and {b.his} tummy made a [funny|loud] noise. \"I am so hungry,\" said {b}. {a} looked at {a.his} {foods}. ^{a.he} [wanted to keep them all|did not want to give any away].",
        "{trait.act} Then {a.he} remembered that {b} had [once lent {a.him} @{thing}|helped {a.him} find {a.his} {thing}]. \"Here, {b},\" said {a}, and gave {b.him} {gave}. Now {a} had {left}.",
        "\"Thank you, {a}!\" said {b}, and ate [slowly|happily]. They sat down together and looked at {see}. \"You gave me {gave} and kept {left},\" said {b}. \"That makes {have}!\"",
        "[The next day|A week later], {a} had no food at all, and {b} had a big basket. {b} remembered, and shared it with {a}. Both of them were {happy}."},
     "[Food tastes better when it is shared.|Who gives today is given to tomorrow.]"},

    {"helping a small one", {
        "On the way, {a} heard a small voice. \"Help me, please!\" it said. {a} looked {wrong1} and {wrong2}. At last {a.he} looked {hide}. There was @{c}!",
        "The {c} {c.trouble}. \"Poor little {c}!\" said {a}. {trait.act} \"Do not be afraid,\" {a.he} said. \"I will help you.\"",
        "{meet} \"What are you doing, {a}?\" {asked} {b}. \"This {c} needs help,\" said {a}. So they {c.help}. The {c} {c.safe}. \"Thank you, {a}. Thank you, {b},\" said the {c}. \"I will not forget you.\"",
        "Later, {a} and {b} [lost their way|did not know the way home]. They were {sad}. \"Which way is home?\" {asked} {b}. Then they heard a small voice. It was the {c}! \"You helped me, and now I will help you,\" said the {c}. \"Follow me!\"",
        "The {c} showed them the way [past the mill|over the little bridge|along the wall], and soon they saw {a}'s house. {a} and {b} waved to the {c}. They were {happy}."},
     "[No one is too small to help.|Help others, and they will help you.]"},

    {"a mistake and an apology", {
        "{friend} {b} had @{thing}, and {b.he} took good care of it. \"May I {use}?\" asked {a}. \"Yes, but please be careful with it,\" said {b}.",
        "{a} took the {thing} and {used}. But {a.he} [did not watch out|was not careful|looked at {see} for a moment], and the {noun} [fell into the mud|got caught on a nail]. Now the {thing} was [broken|torn on one side]. {a} was afraid. ^{a.he} hid it {hide} and said nothing.",
        "\"Where is my {noun}?\" {asked} {b}. \"I do not know,\" said {a}. But that was not true, and {a} felt {sad}. At home {a.he} could not eat. \"What is wrong?\" asked {a.his} {elder}. {a} told {elder.him} everything.",
        "{elder.says} \"[Everyone makes mistakes.|A mistake is not so bad.] [Now tell {b} the truth.|But you must tell {b}.]\" {trait.act} ^{a.he} went to {b} and said, \"I broke your {thing} and hid it {hide}. I am sorry.\"",
        "{b} was quiet for a moment. Then {b.he} said, \"I am glad that you told me. I am not angry.\" They fixed the {noun} together with [glue|needle and thread|a little wood and string], and it was as {colour} as before. {a} and {b} were {happy}."},
     "[It is better to say sorry than to hide a mistake.|The truth is hard to say, but it makes the heart light.]"},

    {"learning a skill", {
        "{a} wanted to {skill}. {friend} {b} could {skill} very well. \"It looks so easy!\" said {a}.",
        "On the first day, {a} {skill.try}. But {a.he} {skill.fail}. {b} [laughed a little|tried not to laugh]. {a} was {sad}. \"I will never {skill},\" {a.he} said.",
        "{again} So on the second day, {a} {skill.try} again. {trait.act} But {a.he} {skill.fail}, [just like before|just like the first time]. \"That was better,\" said {b}. \"Let me show you how I do it.\"",
        "{b} showed {a.him} [slowly|step by step], and {a} watched. On the third day, {a} {skill.try} for the third time. And this time it worked! \"Look, {elder.name}! I can {skill}!\" {cried} {a}.",
        "{a.his.big} {elder} and {b} came running. {elder.name} was so proud that {elder.he} gave {a.him} @{thing}. \"I tried one time, two times, three times,\" said {a}, \"and now I can do it.\""},
     "[If you fail, try again.|No one can do everything on the first day.]"},

    {"a trip", {
        "{friend} {a} and {b} wanted to visit {a}'s {elder}, who lived far away. They packed a bag. Into the bag they put @{pack1}, @{pack2} and @{pack3}. \"Do we need all this?\" asked {b}. \"You never know,\" said {a}.",
        "They went by {ride}. [They saw|Out of the window they saw|On the way they saw] {see}. [After an hour|After a while], {pack1.event}. \"What now?\" asked {b}. \"We have the {pack1}!\" said {a}. ^{a.he} {pack1.use}.",
        "They left the {ride} and walked on. Then {pack2.event}. {trait.act} \"We have the {pack2}!\" said {a}. ^{a.he} {pack2.use}.",
        "They were almost there when {pack3.event}. This time {b} looked into the bag first. \"We still have the {pack3}!\" said {b}. ^{b.he} {pack3.use}.",
        "At last they saw the house of {a}'s {elder}. \"How was the trip?\" asked {elder.name}. \"The {pack1}, the {pack2} and the {pack3} helped us,\" said {a}. {elder.name} laughed and gave each of them [a bowl of soup|a slice of cake|a cup of warm milk]."},
     "[A good bag makes a good trip.|Think before you go, and you will not be sorry on the way.]"},

    {"counting together", {
        "{a} wanted to bring {finds} to {a.his} {elder}. ^{a.he} looked {wrong1} and found one {find}. ^{a.he} looked {wrong2} and found some more. ^{a.he} counted them: \"{aloud}\" So {a} had {found}.",
        "{meet} \"What do you have there?\" {asked} {b}. \"I have {found} for {elder.name},\" said {a}. \"Do you want to help me?\" {b} did.",
        "{b} looked {hide}, and there were {finds} too! \"{aloud.more}\" counted {b}. {b} had found {more}. [The best one was {colour}.|One of them was {colour}.]",
        "\"I have {found} and you have {more},\" said {a}. {trait.act} \"How many are they together?\" They put all the {finds} in a row on the ground and counted. There were {sum}!",
        "They gave the {sum} to {a}'s {elder}. \"So many {finds}!\" said {elder.name}. \"And @{colour} one, too!\" ^{elder.he} put them [on the window sill|in a glass bowl] and was {happy}."},
     "[Together you have more than alone.|Many small things make one big gift.]"},

    {"a noise in the night", {
        "{friend} That night, {b} slept at {a}'s house. {a} took {a.his} {thing} to bed. It was dark and quiet. Then they heard a noise: {shadow.noise}.",
        "\"What was that?\" whispered {b}. \"Maybe it is a [monster|ghost|dragon],\" said {a}. They hid under the blanket. There it was again: {shadow.noise}!",
        "{trait.act} \"I will go and look,\" said {a}. \"Take your {noun} with you,\" said {b}. {a} held the {thing} in one hand and a light in the other. ^{a.he} took one step, two steps, three steps.",
        "{a} {smiled}. \"{b}, come and see!\" {a.he} called. \"It is not a [monster|ghost|dragon]. It is only {shadow}!\" {b} came out from under the blanket. {b} saw {shadow} and laughed, too.",
        "{a}'s {elder} woke up. \"What is so funny?\" {elder.he} asked. \"We were afraid of {shadow}!\" said {a}. Then they all went back to bed, and {a} put the {thing} next to {a.his} pillow. When they heard {shadow.noise}, they only smiled."},
     "[Bring a light, and the monster is gone.|What we do not know looks bigger in the dark.]"},

    {"a birthday surprise", {
        "{friend} Soon it would be the birthday of {a}'s {elder}. \"What can we give {elder.him}?\" asked {a}. \"{elder.name} likes everything that is {colour},\" said {b}. \"Let us find @{thing}!\"",
        "But @{thing} cost {have}, and {a} had only {left}. {a} was {sad}. {trait.act} \"How many do you need?\" {asked} {b}. \"I need {gave} more,\" said {a}.",
        "{b} looked in {b.his} pockets. There was nothing. So they went to {place} and worked for the baker. They [swept the floor|carried flour|washed the plates] until they were tired, and the baker gave them {gave}.",
        "Now {a} had {have}. They gave the {have} to the old man at the market, and he gave them the {thing}. \"Do not tell {elder.name}!\" said {a}. {b} kept the secret.",
        "On the birthday, {a} hid the {thing} behind {a.his} back. \"Guess what I have!\" said {a}. \"Is it {colour}?\" asked {elder.name}. \"Yes!\" said {a}. {elder.name} took the {noun} and {used} at once. ^{elder.he} was {happy}."},
     "[The best gift is the one you worked for.|A secret can be a lovely thing.]"},

    {"slow and fast", {
        "{friend} {b} was proud of how fast {b.he} was. \"Let us each build a house of [stones|wood|clay],\" said {b}. \"I will be done first!\" \"I will build slowly and well,\" said {a}.",
        "{b} worked very fast. ^{b.he} did not look where {b.he} put things. \"I am done!\" {b.he} called before it was time for {next}. {a} had only one wall. {trait.act} \"You are too slow,\" said {b}.",
        "{a} went on. ^{a.he} built one wall, two walls, three walls, four walls. On top {a.he} put @{colour} roof. When it was done, [the moon was out|everyone was asleep].",
        "That night there was a storm. The wind pushed {b}'s house. It leaned to the left, it leaned to the right, and then it fell down! {b} stood in the rain. \"{a}, may I come in?\" asked {b}.",
        "\"Of course,\" said {a}. They sat under the {colour} roof and listened to the storm. \"I was too fast,\" said {b}. \"Tomorrow I will build again, as slowly as you did.\" \"And I will help you,\" said {a}."},
     "[Slow and careful work stands in the storm.|Being first is not the same as being best.]"},

    {"a seed", {
        "{elder.name} gave {a} a small brown seed. \"What is in it?\" asked {a}. \"Wait and see,\" said {elder.name}. {a} made a hole in the ground {hide} and put the seed into it.",
        "{meet} \"There is nothing here,\" said {b}. \"You have to wait,\" said {a}. On the first day {a} gave the seed water, and nothing happened. On the second day {a} gave it water again, and nothing happened.",
        "\"Maybe it is only a stone,\" said {b}. {a} was {sad}. {trait.act} ^{a.he} gave the seed water on the third day, and on the fourth day, and on the fifth day.",
        "On the sixth day {a} came to look, and there was a little green leaf! \"{b}, come here!\" {cried} {a}. The leaf grew and grew. Soon it was as tall as {a}, and then it was taller than {a.his} {elder}.",
        "Then a big {colour} flower opened. \"It is {colour}!\" said {b}. \"I have never seen such @{colour} flower.\" In the flower were many small brown seeds. {a} gave one to {b}. \"Now you have to wait,\" {a.he} said, and they laughed."},
     "[Good things need time.|Who waits and works will see the flower.]"},

    {"taking turns", {
        "{friend} At {place} they found @{thing}, and nobody was there. \"I saw it first!\" said {a}. \"No, I saw it first!\" said {b}. {a} pulled on one side and {b} pulled on the other side.",
        "\"Let go!\" {cried} {a}. \"You let go!\" {cried} {b}. Then they both fell down, and the {noun} flew [over the fence|into a bush]. Now nobody could {use}. {a} was {sad}, and {b} was angry.",
        "{a}'s {elder} had seen it all. {elder.says} \"There is one {noun}, and there are two of you. What can you do?\" {trait.act}",
        "\"We could take turns,\" said {a}. \"{b} can have the {thing} first, until I have counted to ten.\" So {a} got the {noun} back, and {b} {used} while {a} counted: \"One, two, three, four, five, six, seven, eight, nine, ten!\"",
        "Then it was {a}'s turn. {a} {used} while {b} counted to ten. After that they thought of a game for two. \"This is more fun,\" said {b}. They both were {happy}. When they went home, they put the {thing} {hide}, so that they could find it the next day."},
     "[Take turns, and there is enough for two.|A quarrel leaves both hands empty.]"},
};
const size_t ae_n_plots = sizeof ae_plots / sizeof *ae_plots;
/* clang-format on */
