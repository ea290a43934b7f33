"""The words of the toy corpus: English and French nouns, adjectives, verbs and adverbs with all their forms.

The tables below are plain text, one entry between commas; `lexicon()` parses them once. Each noun has a kind, one
letter, and each verb and adjective names the kinds it goes with, so that teachers eat cakes and chairs do not:

    P people             A small animals      W large animals     S things there is one of
    F fruit, vegetables  G baked or cooked    M food, uncounted   D drinks, uncounted
    R things to read     T things             X flowers           B what breaks
    J what holds things  C clothes            U what one sits on  O other furniture
    V vehicles           H parts of a house   L indoors ("in")    E outdoors ("in")
    K goals ("at")       N landmarks ("near")
"""

# english[/plural] french[/plural] gender
NOUNS = {
    "P": """man/men homme m, woman/women femme f, boy garçon m, girl fille f, child/children enfant m, baby bébé m,
        teacher professeur m, doctor médecin m, nurse infirmière f, farmer fermier m, baker boulanger m, king roi m,
        queen reine f, prince prince m, princess princesse f, brother frère m, sister sœur f, father père m,
        mother mère f, uncle oncle m, aunt tante f, grandmother grand-mère/grands-mères f,
        grandfather grand-père/grands-pères m, friend ami m, neighbour voisin m, student étudiant m, pupil élève m,
        soldier soldat m, actress actrice f, waitress serveuse f, hero héros m, gardener jardinier m,
        writer écrivain m, artist artiste m, engineer ingénieur m, tourist touriste m""",
    "A": """cat chat m, dog chien m, mouse/mice souris f, rabbit lapin m, hen poule f, duck canard m, bird oiseau m,
        owl hibou/hiboux m, hamster hamster m, frog grenouille f, turtle tortue f, squirrel écureuil m,
        kitten chaton m, puppy chiot m""",
    "W": """horse cheval m, cow vache f, pig cochon m, wolf/wolves loup m, fox renard m, lion lion m, tiger tigre m,
        elephant éléphant m, monkey singe m, bear ours m""",
    "S": "sea mer f, moon lune f, sky ciel m, sun soleil m",
    "F": """apple pomme f, orange orange f, pear poire f, banana banane f, cherry cerise f, strawberry fraise f,
        lemon citron m, tomato tomate f, carrot carotte f, onion oignon m, peach pêche f, mushroom champignon m,
        olive olive f""",
    "G": "egg œuf m, cake gâteau m, biscuit biscuit m, pancake crêpe f, pie tarte f, sandwich sandwich m",
    "M": """bread pain m, cheese fromage m, butter beurre m, rice riz m, meat viande f, chocolate chocolat m,
        soup soupe f, honey miel m, salad salade f""",
    "D": "water eau f, milk lait m, tea thé m, coffee café m, wine vin m, juice jus m, beer bière f",
    "R": """book livre m, letter lettre f, newspaper journal m, story histoire f, poem poème m, novel roman m,
        message message m""",
    "T": """key clé f, toy jouet m, gift cadeau m, spoon cuillère f, knife/knives couteau m, umbrella parapluie m,
        pencil crayon m, pen stylo m, ring bague f, doll poupée f, guitar guitare f, sword épée f, hammer marteau m,
        computer ordinateur m, photo photo f, painting tableau m, map carte f, ball ballon m""",
    "X": "flower fleur f, tulip tulipe f",
    "B": """cup tasse f, plate assiette f, bottle bouteille f, lamp lampe f, mirror miroir m, vase vase m,
        clock horloge f""",
    "J": "box boîte f, bag sac m, basket panier m, suitcase valise f",
    "C": """hat chapeau m, coat manteau m, shirt chemise f, dress robe f, skirt jupe f, shoe chaussure f,
        sock chaussette f, scarf/scarves écharpe f, jacket veste f, sweater pull m""",
    "U": "mat tapis m, chair chaise f, bed lit m, sofa canapé m, armchair fauteuil m, bench banc m",
    "O": "table table f, desk bureau m, shelf/shelves étagère f, cupboard placard m, piano piano m",
    "V": "car voiture f, bicycle vélo m, boat bateau m, bus bus m, truck camion m, plane avion m, train train m",
    "H": "door porte f, window fenêtre f",
    "L": "house maison f, kitchen cuisine f, bedroom chambre f, castle château m, hotel hôtel m, garage garage m",
    "E": """garden jardin m, forest forêt f, field champ m, street rue f, village village m, city ville f,
        valley vallée f""",
    "K": """school école f, market marché m, museum musée m, station gare f, beach plage f, airport aéroport m,
        library bibliothèque f, restaurant restaurant m, hospital hôpital m, cinema cinéma m, theatre théâtre m,
        bakery boulangerie f, park parc m, zoo zoo m, church église f, farm ferme f""",
    "N": """tree arbre m, hedge haie f, wall mur m, bridge pont m, river rivière f, lake lac m, hill colline f,
        mountain montagne f, fountain fontaine f""",
}
NAMES = "Paul m, Marie f, Lucas m, Emma f, Thomas m, Julie f, Alice f, Simon m"

# english french-masculine french-feminine kinds
ADJECTIVES_BEFORE = """
    small petit petite XPAWFGRTBJCUOVHLEKN, big grand grande PAWRTBJCUOVHLEKN, young jeune jeune PAW,
    old vieux vieille PAWRTBJCUOVHLKN, beautiful beau belle XPAWTBCOVLEN, new nouveau nouvelle RTBJCUOVHL,
    good bon bonne FGMDR, bad mauvais mauvaise FGMDR, lovely joli jolie XATBCHLEN, fat gros grosse PAW,
    long long longue RC"""
ADJECTIVES_AFTER = """
    red rouge rouge XFTBJCUVH, blue bleu bleue XTBJCUVH, green vert verte FTBJCUVH, yellow jaune jaune XFTBJCUV,
    black noir noire AWTBJCUOVH, white blanc blanche XAWTBJCUOVHL, grey gris grise AWTBJCUVH, pink rose rose XTBJC,
    strong fort forte PW, clever intelligent intelligente PAW, happy heureux heureuse PAW, sad triste triste PAWR,
    tired fatigué fatiguée PAW, brave courageux courageuse PW, lazy paresseux paresseuse PAW,
    calm calme calme PAWLEN, rich riche riche P, famous célèbre célèbre PRN, sick malade malade PAW,
    polite poli polie P, curious curieux curieuse PAW, proud fier fière P, generous généreux généreuse P,
    honest honnête honnête P, funny drôle drôle PAR, dangerous dangereux dangereuse WV,
    strange étrange étrange PAWRTBJCLN, nervous nerveux nerveuse PAW, expensive cher chère FGTBJCUOVL,
    heavy lourd lourde WBJUO, round rond ronde BJO, wet mouillé mouillée ACUJ, dirty sale sale AWBJCUOV,
    broken cassé cassée BUOVHJ, empty vide vide BJVLK, magnificent magnifique magnifique XTBCVLEN,
    modern moderne moderne UOVLK, ugly laid laide BJCUOV, comfortable confortable confortable CUV,
    hot chaud chaude GMD, cold froid froide GMD, sweet sucré sucrée FGD, ripe mûr mûre F, fresh frais fraîche FMX,
    delicious délicieux délicieuse FGMD, interesting intéressant intéressante RK, boring ennuyeux ennuyeuse R,
    mysterious mystérieux mystérieuse PRTJLE, fast rapide rapide WV, slow lent lente AWV,
    noisy bruyant bruyante PAVEK, dark sombre sombre LE, huge énorme énorme FGWJLN, tiny minuscule minuscule AFTBJLX,
    peaceful paisible paisible LE"""
ADJECTIVES_PREDICATE = "ready prêt prête P, alone seul seule PAW"

# english[/past] french subjects objects
TRANSITIVE = """
    eat/ate manger PA FGM, drink/drank boire P D, buy/bought acheter P XFGMRTBJCUOV, sell/sold vendre P XFGRTBJCUOV,
    see/saw voir PAW XPAWSRTCVLEN, look_at regarder PA XPAWSRTVN, look_for chercher PA PARTCJ,
    find/found trouver PA XARTJC, lose/lost perdre P RTCJ, hide/hid cacher P RTJG, break/broke casser P B,
    wash laver P FBCV, clean nettoyer P BUOVHL, paint peindre P XPAWSVHLN, draw/drew dessiner P XPAWSVLN,
    write/wrote écrire P R, forget/forgot oublier P RTJC, carry transporter P TJRB, wear/wore porter P C,
    bring/brought apporter P XFGRTBJ, throw/threw lancer P T, catch/caught attraper PA A, take/took prendre P XRTBJC,
    open ouvrir P HJ, close fermer P HJ, push pousser P JUOVH, follow suivre PA PAWV,
    help aider P P, call appeler P PA, invite inviter P P, meet/met rencontrer P P, thank remercier P P,
    kiss embrasser P P, visit visiter P LKE, hear/heard entendre PA PAW, listen_to écouter PA P,
    wait_for attendre PA PV, cook cuisiner P FM, prepare préparer P GM, pick cueillir P XF, drive/drove conduire P V,
    repair réparer P BUOVH, build/built construire P LO, fill remplir P J, choose/chose choisir P XFGRTCUV,
    count compter P XAFTC, admire admirer P PAWSTCVLN, feed/fed nourrir P AW, protect protéger P PA,
    chase chasser A A, understand/understood comprendre P PR, leave/left quitter P LEK, finish finir P R,
    watch surveiller P PAW, wake/woke réveiller PA PA, keep/kept garder P RTJC, love aimer PAW XPAFGMDRCSEK,
    hate détester P FGMDK, adore adorer P XPAFGMDRK, prefer/preferred préférer PA FGMDR, have/had avoir P PATRTCVU,
    want vouloir P XFGMDRTCVU, know/knew connaître P PRLEK"""
# not said together: adjectives of the same measure, and some with some nouns
MEASURES = """small big tiny huge, beautiful lovely magnificent ugly, young old new, good bad delicious,
    happy sad, hot cold, fast slow, calm nervous noisy peaceful, interesting boring, sweet fresh ripe"""
ODD = """old girl, old boy, old baby, old child, old kitten, old puppy, big baby, big grandmother, big grandfather,
    young grandmother, young grandfather"""
PLACED = "eat drink buy see find lose meet hear catch draw paint write watch"  # may be followed by a place
LIKING = "love hate adore prefer"  # "I love apples": les pommes, not des pommes
FIRST = "buy find choose take pick wash repair"  # done before something else is done to the same thing
ABSOLUTE = "ready alone broken empty magnificent huge tiny delicious"  # never "very" or "too" so
MOODS = "happy sad tired sick lazy nervous brave proud curious calm"  # reasons to do something
STATES = "be love hate adore prefer have want know live hope believe think"  # past in the imparfait
# ... and, for objects, what may follow: p a place, ! surely a place, m a manner, w also well or badly
INTRANSITIVE = """
    sleep/slept dormir PAW pmw, run/ran courir PAW pm, walk marcher PAW pmw, sing/sang chanter P pmw,
    dance danser P pmw, laugh rire P p, cry pleurer P p, smile sourire P p, swim/swam nager PAW mw,
    jump sauter PAW m, work travailler P pmw, play jouer PA pmw, talk parler P pmw, travel/travelled voyager P mw,
    stay rester PAW !, fall/fell tomber PAW p, live habiter PAW !, rest se_reposer PAW p,
    stop/stopped se_arrêter PAW p, fall_asleep/fell_asleep se_endormir PAW pm, sit/sat se_asseoir PA !,
    lie_down/lay_down se_coucher PAW p, hurry se_dépêcher PA m, get_up/got_up se_lever PAW m, arrive arriver PAW m"""
MOTION = "go_to/went_to aller:à P K, come_back_from/came_back_from revenir:de P KLE, enter entrer:dans PA L"
PREPOSITIONAL = """
    talk_to parler:à P PA, answer répondre:à P P, obey obéir:à P P, smile_at sourire:à P P,
    play_with jouer:avec PA PA, think_about/thought_about penser:à P PKE, dream_about rêver:de P AVKL,
    dance_with danser:avec P P, live_with habiter:avec P PA"""
DATIVE = """
    give/gave donner P XFGRTJ, send/sent envoyer P R, show/showed montrer P RTCV, lend/lent prêter P RTCJV,
    offer offrir P XGTC"""
SAYING = "think/thought penser, say/said dire, believe croire, hope espérer"

# infinitive je il nous vous ils future-stem participle; verbs in -er, -ir, -dre not listed here are regular
IRREGULAR = """
    être suis est sommes êtes sont ser été, avoir ai a avons avez ont aur eu,
    aller vais va allons allez vont ir allé, revenir reviens revient revenons revenez reviennent reviendr revenu,
    boire bois boit buvons buvez boivent boir bu, voir vois voit voyons voyez voient verr vu,
    vouloir veux veut voulons voulez veulent voudr voulu, pouvoir peux peut pouvons pouvez peuvent pourr pu,
    devoir dois doit devons devez doivent devr dû, prendre prends prend prenons prenez prennent prendr pris,
    dire dis dit disons dites disent dir dit,
    comprendre comprends comprend comprenons comprenez comprennent comprendr compris,
    croire crois croit croyons croyez croient croir cru, écrire écris écrit écrivons écrivez écrivent écrir écrit,
    construire construis construit construisons construisez construisent construir construit,
    conduire conduis conduit conduisons conduisez conduisent conduir conduit,
    connaître connais connaît connaissons connaissez connaissent connaîtr connu,
    suivre suis suit suivons suivez suivent suivr suivi, peindre peins peint peignons peignez peignent peindr peint,
    ouvrir ouvre ouvre ouvrons ouvrez ouvrent ouvrir ouvert, offrir offre offre offrons offrez offrent offrir offert,
    cueillir cueille cueille cueillons cueillez cueillent cueiller cueilli,
    dormir dors dort dormons dormez dorment dormir dormi,
    endormir endors endort endormons endormez endorment endormir endormi,
    courir cours court courons courez courent courr couru, rire ris rit rions riez rient rir ri,
    sourire souris sourit sourions souriez sourient sourir souri,
    asseoir assois assoit assoyons assoyez assoient assoir assis,
    acheter achète achète achetons achetez achètent achèter acheté, lever lève lève levons levez lèvent lèver levé,
    appeler appelle appelle appelons appelez appellent appeller appelé,
    préférer préfère préfère préférons préférez préfèrent préférer préféré,
    espérer espère espère espérons espérez espèrent espérer espéré,
    protéger protège protège protégeons protégez protègent protéger protégé,
    nettoyer nettoie nettoie nettoyons nettoyez nettoient nettoier nettoyé,
    envoyer envoie envoie envoyons envoyez envoient enverr envoyé"""


# english french
NUMBERS = "two deux, three trois, four quatre, five cinq, six six, seven sept, eight huit, nine neuf, ten dix"
FREQUENCY = "often souvent, always toujours, sometimes parfois, rarely rarement"
MANNERS = """
    slowly lentement, quickly rapidement, calmly calmement, silently silencieusement, peacefully paisiblement,
    patiently patiemment, carefully prudemment, outside dehors, early tôt, late tard"""
SKILLS = "well bien, badly mal"
TIMES_PRESENT = "now maintenant, every_day chaque_jour, every_morning chaque_matin, every_evening chaque_soir"
TIMES_PAST = "yesterday hier, last_night hier_soir, this_morning ce_matin, last_week la_semaine_dernière"
TIMES_FUTURE = "tomorrow demain, next_month le_mois_prochain, this_evening ce_soir, next_week la_semaine_prochaine"
