"""Sentences of everyday writing in each language, made for `bench.charsets`: talk, mail, news, manuals, code.

None of them was used to make web/files/likelihood.py.
"""

SENTENCES = {
    "zh-CN": """昨天下午我们在公司附近的咖啡馆见了面，聊了很久。
请在本周五之前把修改后的合同发到我的邮箱，谢谢！
外婆家的院子里种着两棵石榴树，每到秋天就挂满了果子。
警方表示，事故原因仍在调查之中，目前没有人员伤亡。
第一步：打开电源；第二步：按住“设置”键三秒钟，直到指示灯闪烁。
老师问：“谁能告诉我，为什么鸟会飞？”教室里一片安静。
这份报告分析了过去十年居民消费结构的变化，并提出三点建议。
如果程序启动失败，请检查配置文件中的端口号是否被占用。
列车将于十四点二十分到达杭州东站，请您提前做好下车准备。
他把旧书一本一本地擦干净，重新摆回书架上。
豆腐切成小块，放入锅中用小火煎至两面金黄，再加少许酱油和糖。
数据库每天凌晨三点自动备份，保留最近三十天的副本。
妹妹考上了大学，全家人都为她感到高兴。
据气象台预报，未来三天将有大到暴雨，局部地区伴有雷电。
对不起，您拨打的电话暂时无法接通，请稍后再拨。
湖面上漂着几片荷叶，一只白鹭静静地站在浅水里。""",
    "zh-TW": """昨天傍晚我們在捷運站旁邊的餐廳吃飯，順便討論了下個月的旅行。
請於星期五以前將修改過的合約寄到我的信箱，謝謝您。
外婆家後面有一條小溪，夏天的時候我們都在那裡抓魚。
警方指出，事故原因仍在調查當中，所幸沒有人受傷。
步驟一：開啟電源。步驟二：按住「設定」鍵三秒，直到燈號閃爍為止。
老師問：「有誰能告訴我，為什麼鳥會飛？」全班鴉雀無聲。
這份報告分析了近十年來家庭支出的變化，並提出三項建議。
如果程式無法啟動，請檢查設定檔裡的連接埠是否已被占用。
列車將在十四點二十分抵達臺中，要下車的旅客請提前準備。
他把舊書一本一本擦乾淨，重新放回書櫃裡。
將豆腐切成小塊，以小火煎到兩面金黃，再加一點醬油和糖。
資料庫每天凌晨三點自動備份，並保留最近三十天的檔案。
妹妹考上了大學，全家都替她感到開心。
氣象局表示，未來三天各地將有大雨，山區請慎防落石。
很抱歉，您撥的電話目前無人回應，請稍後再撥。
湖面上飄著幾片荷葉，一隻白鷺靜靜地站在淺水處。""",
    "ja": """昨日の夕方、駅前の喫茶店で友達と久しぶりに会いました。
お手数ですが、修正した契約書を金曜日までにメールで送ってください。
祖母の家の庭には柿の木が二本あって、秋になると実がたくさんなる。
警察によると、事故の原因はまだ調査中で、けが人はいないという。
手順１：電源を入れます。手順２：「設定」ボタンを三秒間押し続けます。
先生が「鳥はなぜ飛べるのですか」と聞くと、教室は静まり返った。
この報告書では、過去十年間の消費の変化を分析し、三つの提案を行う。
プログラムが起動しない場合は、設定ファイルのポート番号を確認してください。
まもなく京都に到着いたします。お降りの方はお支度をお願いします。
彼は古い本を一冊ずつ拭いて、本棚に戻した。
豆腐を小さく切り、弱火で両面がきつね色になるまで焼いて、醤油を加える。
データベースは毎日午前三時に自動でバックアップされます。
妹が大学に合格して、家族みんなで喜んだ。
天気予報によれば、明日から大雨になる恐れがあるそうだ。
申し訳ありませんが、ただいま電話に出ることができません。
湖には蓮の葉が浮かび、白い鳥が一羽、浅瀬にじっと立っていた。""",
    "ko": """어제 저녁에 회사 근처 카페에서 오랜만에 친구를 만났다.
수정한 계약서를 금요일까지 제 메일로 보내 주시면 감사하겠습니다.
할머니 댁 마당에는 감나무가 두 그루 있어서 가을마다 감이 주렁주렁 열린다.
경찰은 사고 원인을 아직 조사하고 있으며 다친 사람은 없다고 밝혔다.
1단계: 전원을 켭니다. 2단계: 설정 단추를 3초 동안 누르고 있습니다.
선생님이 새는 왜 날 수 있느냐고 묻자 교실이 조용해졌다.
이 보고서는 지난 십 년 동안의 소비 변화를 분석하고 세 가지를 제안한다.
프로그램이 시작되지 않으면 설정 파일의 포트 번호를 확인하십시오.
열차가 곧 부산역에 도착합니다. 내리실 손님은 미리 준비해 주십시오.
그는 낡은 책을 한 권씩 닦아서 책장에 다시 꽂았다.
두부를 작게 썰어 약한 불에서 노릇하게 부친 다음 간장을 조금 넣는다.
데이터베이스는 매일 새벽 세 시에 자동으로 백업됩니다.
동생이 대학에 합격해서 온 가족이 기뻐했다.
기상청은 앞으로 사흘 동안 많은 비가 내리겠다고 예보했다.
죄송합니다. 지금은 전화를 받을 수 없으니 잠시 후에 다시 걸어 주세요.
호수에는 연잎이 떠 있고 하얀 새 한 마리가 얕은 물에 가만히 서 있었다.""",
    "de": """Gestern Abend haben wir uns in einem Café in der Nähe des Büros getroffen.
Bitte schicken Sie mir den geänderten Vertrag bis Freitag, schöne Grüße!
Im Garten meiner Großmutter stehen zwei Apfelbäume, die jedes Jahr blühen.
Laut Polizei läuft die Prüfung der Ursache noch; verletzt wurde niemand.
Drücken Sie die Taste „Menü“ drei Sekunden lang, bis das Lämpchen blinkt.
Der Zug fährt um 14:20 Uhr in München ein, bitte rechtzeitig aussteigen.
Das Gerät lässt sich nicht öffnen, wenn der Schlüssel fehlt.""",
    "fr": """Hier soir, nous nous sommes retrouvés dans un café près de la gare.
Merci de m’envoyer le contrat modifié avant vendredi, très cordialement.
Le jardin de ma grand-mère est planté de pommiers qui fleurissent au début d’avril.
D’après la police, personne n’a été blessé ; l’enquête se poursuit.
Appuyez sur « Réglages » pendant trois secondes, jusqu’à ce que la lumière clignote.
Le problème vient du fichier de configuration : le port est déjà occupé.
Ça ne marche pas, où est passée la clé ?""",
    "es": """Ayer por la tarde nos encontramos en un café cerca de la estación.
¿Podría enviarme el contrato corregido antes del viernes? Muchas gracias.
En el jardín de mi abuela había dos árboles que florecían en otoño.
Según la policía, la investigación continúa y no hubo heridos.
Mantenga pulsado el botón «Menú» tres segundos, hasta que parpadee la señal.
El niño preguntó por qué vuelan los pájaros; nadie respondió.
¡Qué sueño tengo! Mañana será otro día.""",
}
CODE = """def read({name}, limit=7860):
    # {comment}
    with open({name}, "rb") as file:
        return file.read(limit)


"""
